"""Getting the bytes of one table after the other, into memory that is used again.

Memory that is new for each file costs as much as copying the file: the system has to clear
its pages.
"""

from __future__ import annotations

import os
from pathlib import Path

_ROOM = 1 << 16  # bytes to begin with, and beyond the size that a file seems to have


class Landing:
    """The bytes of the file that was read last: the first `size` of `data`."""

    def __init__(self) -> None:
        self.data = bytearray(_ROOM)
        self.size = 0

    def read(self, directory: str) -> str:
        """Read a run's table, nothing if there is none, and return what separates its cells.

        Raises
        ------
        OSError
            If there is a file that cannot be read.
        """
        path = os.path.join(directory, "progress.csv")  # noqa: PTH118 - a Path costs more than the call
        try:
            self._fill(path)
        except FileNotFoundError:
            self.size = 0
            return ","
        if not self.size and self._is_table(Path(directory, "log.txt")):
            return "\t"
        return ","

    def content(self) -> bytes:
        """Return a copy of the bytes."""
        return bytes(memoryview(self.data)[: self.size])

    def _fill(self, path: str | Path) -> None:
        self.size = 0
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - as above
            expected = os.fstat(stream.fileno()).st_size
            if expected >= len(self.data):
                self.data = bytearray(expected + _ROOM)
            # No further than that: a run that goes on may write faster than this reads.
            while self.size < len(self.data):
                got = stream.readinto(memoryview(self.data)[self.size :])
                if not got:
                    break
                self.size += got

    def _is_table(self, log: Path) -> bool:
        """Read rllab's text log: it holds the table where the CSV was never written."""
        if log.is_file():
            self._fill(log)
            if b"\t" in self.content().partition(b"\n")[0]:
                return True
        self.size = 0
        return False
