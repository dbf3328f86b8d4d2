"""The OpenBLAS libraries that this process has loaded, and the threads they keep."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def extra_threads() -> int:
    """Return how many threads they keep, beside the main one."""
    return sum(int(get()) - 1 for get in _functions("get_num_threads"))


def set_threads(count: int) -> None:
    """Let each of them use so many threads."""
    for set_ in _functions("set_num_threads"):
        set_(count)


def _functions(name: str) -> Iterator[Any]:
    """Yield a function of each loaded library, by whichever name it was built with."""
    maps = Path("/proc/self/maps").read_text()
    for library in set(re.findall(r"(/\S*openblas\S*\.so\S*)", maps)):
        try:
            handle = ctypes.CDLL(library)
        except OSError:  # replaced on the disk since it was loaded
            continue
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", "", "_64", "_64_", "64"):
                function = getattr(handle, f"{prefix}_{name}{suffix}", None)
                if function is not None:
                    yield function
                    break
            else:
                continue
            break
