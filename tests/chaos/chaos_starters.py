"""Processes that claim a sweep at the same moment; prints who won.

The winner holds its claim until all others have been refused, and then releases it, or is
killed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from launchkit.driver import Claim, Driven
from launchkit.sweep import Sweep


def main() -> None:
    directory, starters, end = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    sweep = Sweep.open(directory)
    go, start = os.pipe()
    hear, say = os.pipe()
    stay, leave = os.pipe()
    for _ in range(starters):
        if not os.fork():
            os.close(start)
            os.close(leave)
            os.read(go, 1)  # the end of the file comes to all at once
            _claim(sweep, say, stay)
    os.close(say)
    os.close(start)
    said = b""
    while len(said) < starters:
        said += os.read(hear, starters) or b"nobody"
    if end == "killed":
        # Its identity stays in the claim, unreleased.
        os.write(leave, b"k" * starters)
    os.close(leave)
    for _ in range(starters):
        os.wait()
    print(*sorted({"w": "won", "r": "refused"}[chr(letter)] for letter in said)[::-1])


def _claim(sweep: Sweep, say: int, stay: int) -> None:
    try:
        with Claim(sweep, print):
            os.write(say, b"w")
            if os.read(stay, 1):
                os._exit(0)  # as if killed
    except Driven:
        os.write(say, b"r")
    os._exit(0)


if __name__ == "__main__":
    main()
