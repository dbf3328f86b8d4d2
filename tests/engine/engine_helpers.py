"""What the engine's tests share: waiting for facts, and programs in other processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """Return the first true result of `true`; it is a failure if there is none in time."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        result = true()
        if result:
            return result
        time.sleep(0.005)
    raise AssertionError(f"waited {PATIENCE_S} s for {what}")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def start_python(program: str, *arguments: Any, **options: Any) -> subprocess.Popen:
    """Start a program in another interpreter, with launchkit importable."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        **{"stdin": subprocess.DEVNULL, "text": True, "env": environment(), **options},
    )


def run_python(program: str, *arguments: Any, **options: Any) -> str:
    """Run a program in another interpreter, and return what it printed."""
    process = start_python(
        program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return out


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie, which only waits to be seen, does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
