"""What a writer that was killed leaves behind: temporary files that never took their names."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

# As `files.atomic_writer` names them.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that lie in a job's directory; those below it stay.

    Nobody may be writing to the directory.
    """
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):  # noqa: PTH208 - there may be very many
            if _TEMPORARY.fullmatch(name):
                (directory / name).unlink(missing_ok=True)
