"""What a machine uploads again and again, and what it fetches: files, a look, what is asked."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import gzip
import logging
import re
import time
from pathlib import Path
from typing import Any

from launchkit.cloud.agent_listing import Entry
from launchkit.cloud.agent_storage import Storage
from launchkit.cloud.agent_tool import Tool, ToolError
from launchkit.cloud.agent_tree import Tree, empty

LOG = logging.getLogger("launchkit.agent")

PASSING = re.compile(
    r"SlowDown|Throttl|InternalError|imeout|imed out|onnect|reset|to an end|\b(50[0-9]|429)\b"
)
"""What a bucket or its program says that may do it later."""
LEASE_S = 120.0
"""How often the launcher's sign of life is looked at."""
LOOK_S = 5.0
"""What is kept of the time that is left, for saying how things stand."""


class Sync:
    """The exchange of a machine with its sweep's bucket.

    Parameters
    ----------
    facts
        What the machine was told.
    folder
        A directory for what is under way.
    tool
        What talks to the bucket.
    """

    def __init__(self, facts: "dict[str, Any]", folder: Path, tool: "Tool | Storage") -> None:
        self._base: str = facts["base"]
        self._pack: int = facts["pack"]
        self._tool = tool
        root, name, last = facts["root"], facts["name"], self._base.rpartition("/")[2]
        self._tree = Tree(root, name, self._base)
        self._asks = Path(root, name, ".launchkit", "asks")
        self._log = folder / "log"
        self._files = folder / "files" / last
        self._said = folder / "said" / last
        self._sent_log = 0
        self._shown: tuple[bytes, list[bytes]] = (b"", [])
        self._lease_at = float("-inf")
        self._lease = b""

    def upload(self, code: "int | None", *, last: bool = False, hurry: bool = False) -> None:
        """Upload what has changed, and then how things stand.

        Parameters
        ----------
        code
            The exit code of the pack, if it has ended.
        last
            Whether nothing writes to the files any more.
        hurry
            Whether time may not be enough for what is large.

        Raises
        ------
        ToolError
            If not all of it could be uploaded.
        OSError
            If this machine's disk does not let it.
        """
        # What is told now must not be of jobs whose files were written after they were looked at.
        told = self._told()
        entries = self._tree.scan()
        problem = None
        try:
            self._send(entries, last=last, hurry=hurry)
        except ToolError as error:
            problem = error
        if problem is None or hurry:
            self._shown = told, self._tree.lines(entries)
        # If not, the launcher is to know at least that the machine is there.
        self._show(code if problem is None or hurry else None)
        if problem is not None:
            if not PASSING.search(str(problem)):
                self._tree.leave_out(str(problem))
            raise problem

    def _send(self, entries: "list[Entry]", *, last: bool, hurry: bool) -> None:
        """Upload the files that have changed."""
        if hurry:
            self._tool.until -= LOOK_S
        try:
            for small in (True, False) if hurry else (False,):
                empty(str(self._files))
                size = self._tree.stage(entries, str(self._files), last=last, small=small)
                if self._tree.staged:
                    self._tool.send(self._files, self._base, size)
                    self._tree.note()
        finally:
            if hurry:
                self._tool.until += LOOK_S

    def fetch(self) -> None:
        """Fetch what the launcher asks, and look whether it is there still."""
        try:
            key = f"{self._base}/.machines/{self._pack}/asks.jsonl"
            self._tool.get(key, self._asks / f"{self._pack}.jsonl", again=True)
            if time.monotonic() - self._lease_at > LEASE_S:
                self._lease_at = time.monotonic()
                self._look_at_lease()
        except ToolError as error:
            LOG.warning("what is asked cannot be fetched: %s", last_line(str(error)))

    def _look_at_lease(self) -> None:
        seen = self._asks / ".lease"
        if not self._tool.get(self._base + "/.home/lease", seen):
            return
        lease = seen.read_bytes()
        # Clocks differ: what counts is that it has changed.
        if lease != self._lease:
            self._lease = lease
            (self._asks / f"{self._pack}.lease").write_bytes(b"")

    def _told(self) -> bytes:
        try:
            return (self._asks / f"{self._pack}.ended").read_bytes()
        except FileNotFoundError:
            return b""

    def _show(self, code: "int | None") -> None:
        """Upload how things stand, and the log if there is more in it."""
        told, lines = self._shown
        how = "alive" if code is None else str(code)
        begin = f"now {int(time.time())}\npack {self._pack} {how} {len(told)}\n"
        entries = b"".join(line + b"\0" for line in lines)
        look = gzip.compress(begin.encode() + told + b"files\n" + entries + b"end\0", 6)
        empty(str(self._said))
        there = self._said / ".machines" / str(self._pack)
        there.mkdir(parents=True)
        (there / "look").write_bytes(look)
        log = self._log.read_bytes()
        if len(log) != self._sent_log:
            (there / "log").write_bytes(log)
        self._tool.send(self._said, self._base, len(look) + len(log))
        self._sent_log = len(log)


def last_line(text: str) -> str:
    """Return the last line of a text that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
