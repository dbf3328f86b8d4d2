"""What runs on a rented machine, as root, with its own Python from 3.6 on: ``agent.py FACTS``.

It lies in the unpacked archive, with its other modules below ``launchkit/cloud/`` there. It
runs the machine's pack, uploads what its jobs write, fetches what the launcher asks, and
watches for the notice that the machine is taken back. Who started it ends the machine then.
"""
# No `from __future__ import annotations`, which Python 3.6 lacks; what it lacks is in quotes.

import json
import logging
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from launchkit.cloud.agent_metadata import Amazon, Google
from launchkit.cloud.agent_storage import Storage
from launchkit.cloud.agent_sync import Sync, last_line
from launchkit.cloud.agent_tool import Tool, ToolError
from launchkit.cloud.agent_work import Work

LOG = logging.getLogger("launchkit.agent")

BALLAST_BYTES = 8 * 2**20
"""What is set free on a full disk, for what is left to say."""
LONGEST_PAUSE_S = 120.0
LAST_TRIES = 3
KILLED_CODE = 137


class Haste(NamedTuple):
    """How long things may take when the machine is about to be gone, in seconds."""

    look: float
    """Between two looks for the cloud's notice."""
    grace: float
    """For the jobs to stop."""
    whole: float
    """For that and the last upload."""


AMAZON = Haste(look=5.0, grace=60.0, whole=110.0)
GOOGLE = Haste(look=1.0, grace=12.0, whole=26.0)
"""Amazon gives two minutes; Google 30 seconds."""


class Agent:
    """The program.

    Parameters
    ----------
    facts
        What the machine was told.
    """

    def __init__(self, facts: "dict[str, Any]") -> None:
        google = facts["store"].startswith("gs:")
        self._facts = facts
        self._folder = Path(facts["root"], ".agent")
        self._cloud = Google() if google else Amazon()
        self._haste = GOOGLE if google else AMAZON
        self._tool = Storage(facts["store"]) if google else Tool(facts["store"], facts["region"])
        self._sync = Sync(facts, self._folder, self._tool)
        self._wake = threading.Event()
        self._told_to_end = threading.Event()
        self._work = Work(facts, self._folder, self._tool, self._wake.set)
        # When the machine is gone, by the monotonic clock, if that is known.
        self._until: float | None = None
        self._over = False

    def run(self) -> None:
        """Run the pack to its end, and upload the last of it."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._told_to_end.set())
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            (self._folder / "ballast").write_bytes(bytes(BALLAST_BYTES))
            self._work.start()
            self._go_on()
        except Exception:
            LOG.exception("the machine ends early")
        (self._folder / "ballast").unlink()
        self._end_work()
        self._finish()
        self._over = True

    def _go_on(self) -> None:
        """Upload and fetch until the work is over, or the machine has to end."""
        failures = 0
        while self._work.code is None and self._until is None:
            began = time.monotonic()
            try:
                self._sync.upload(None)
                self._sync.fetch()
                failures = 0
            except ToolError as error:
                failures += 1
                LOG.warning("upload %d has failed: %s", failures, last_line(str(error)))
                if began - self._tool.worked > 60 * self._facts["unreachable_min"]:
                    LOG.error("the bucket has not been reached for too long")
                    return
            interval = self._facts["sync_interval_s"]
            pause = min(interval * 2 ** min(failures, 10), max(interval, LONGEST_PAUSE_S))
            if failures:
                pause *= random.uniform(0.5, 1.0)
            self._wake.wait(max(0.0, began + pause - time.monotonic()))

    def _watch(self) -> None:
        """See that the machine is about to end, and have the jobs stop in time."""
        left = self._facts["ends"] - time.time()
        ends = time.monotonic() + left - min(self._haste.whole + 30.0, left / 4)
        why = ""
        while not why and not self._over:
            if self._told_to_end.wait(self._haste.look):
                why = "the machine is told to end"
            elif time.monotonic() > ends:
                why = "the machine's time is over (max_lifetime_min)"
            else:
                why = self._cloud.notice()
        if not why:
            return
        LOG.warning("%s", why)
        now = time.monotonic()
        self._until = now + self._haste.whole
        # What is under way must not take the last upload's time.
        self._tool.until = now + self._haste.grace
        self._tool.leaving = True
        self._work.stop()
        self._wake.set()

    def _end_work(self) -> None:
        """Have the jobs stop, if they run; end those that do not."""
        if self._work.code is None and self._work.is_alive():
            if self._until is None:
                self._work.stop()
            self._work.join(self._haste.grace)
            if self._work.is_alive():
                LOG.warning("the jobs do not stop, and are ended")
                self._work.kill()
                self._work.join(5.0)

    def _finish(self) -> None:
        """Upload what is left, and that the pack has ended."""
        code = KILLED_CODE if self._work.code is None else self._work.code
        now = time.monotonic()
        patience = 60 * self._facts["unreachable_min"]
        # What was not reached for so long may well stay so.
        until = now if now - self._tool.worked > patience else now + patience
        self._tool.until = self._until or float("inf")
        failures, pause = 0, 1.0
        while failures < LAST_TRIES:
            try:
                self._sync.upload(code, last=True, hurry=self._until is not None)
                return
            except ToolError as error:
                LOG.warning("the last upload has failed: %s", last_line(str(error)))
            except Exception:
                LOG.exception("the last upload has failed")
                failures += 1
            if time.monotonic() + pause > (self._until or until):
                return
            time.sleep(pause)
            pause = min(30.0, 2 * pause)


def main(path: str) -> int:
    """Run the pack of this machine, and return an exit code."""
    facts: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    root = Path(facts["root"])
    (root / ".agent").mkdir(exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)sZ %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        handlers=[logging.FileHandler(str(root / ".agent" / "log")), logging.StreamHandler()],
    )
    logging.Formatter.converter = time.gmtime
    (root / "agent.pid").write_text(f"{os.getpid()}\n", encoding="utf-8")
    Agent(facts).run()
    (root / "synced").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
