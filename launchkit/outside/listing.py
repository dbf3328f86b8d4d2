"""How things stand on a host, as its script `Remote.look` has said it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from launchkit.outside.ssh_route import ConnectionLost

GZIP = 31
"""What zlib calls its own format with a gzip header."""


@dataclass(frozen=True)
class Entry:
    """A file, directory or link on the host.

    Parameters
    ----------
    kind
        ``f``, ``d`` or ``l``.
    inode, size, changed, touched, mode
        What tells it from what it was before; the times in seconds by the host's clock, of
        its content and of anything about it.
    name
        Its name, relative to the sweep's directory on the host.
    """

    kind: str
    inode: int
    size: int
    changed: float
    touched: float
    mode: int
    name: bytes

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read what find has printed."""
        kind, inode, size, changed, touched, mode, name = line.split(b" ", 6)
        return cls(
            kind.decode(),
            int(inode),
            int(size),
            float(changed),
            float(touched),
            int(mode, 8),
            name.removeprefix(b"./"),
        )


@dataclass(frozen=True)
class PackLook:
    """How a pack stands.

    Parameters
    ----------
    alive
        Whether its host runs.
    code
        The exit code of one that has ended; None if it cannot be known.
    told
        What it has told since the last look.
    """

    alive: bool
    code: int | None
    told: bytes


@dataclass(frozen=True)
class Look:
    """How things stand on a host.

    Parameters
    ----------
    now
        Seconds since the epoch, by the host's clock, before anything was looked at.
    packs
        The packs that were asked for.
    entries
        All files, directories and links.
    """

    now: int
    packs: Mapping[int, PackLook]
    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, data: bytes) -> Look:
        """Read what the script has printed.

        Raises
        ------
        ConnectionLost
            If it is not whole.
        """
        try:
            # A login shell may have its say before.
            text = zlib.decompress(data[data.index(b"\x1f\x8b") :], GZIP)
            return cls._parse(text)
        except (ValueError, IndexError, zlib.error) as error:
            raise ConnectionLost(f"its answer is not whole ({error})") from error

    @classmethod
    def _parse(cls, text: bytes) -> Look:
        line, _, rest = text.partition(b"\n")
        now = int(line.removeprefix(b"now "))
        packs = {}
        while True:
            line, _, rest = rest.partition(b"\n")
            if line == b"files":
                break
            _, num, how, count = line.split()
            told, rest = rest[: int(count)], rest[int(count) :]
            code = int(how) if how not in (b"alive", b"gone") else None
            packs[int(num)] = PackLook(how == b"alive", code, told)
        *lines, last, empty = rest.split(b"\0")
        if (last, empty) != (b"end", b""):
            raise ValueError("it ends early")
        return cls(now, packs, tuple(map(Entry.parse, lines)))
