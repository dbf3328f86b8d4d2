"""Who drives a sweep: one process at a time, whichever launcher or machine it is of.

A driver's claim is a file ``driver-<n>.json`` below the sweep; the highest number counts.
A claim is made with `files.write_new`, which one of two processes is granted on every
file system, and is never taken from its owner: who finds it released, or its owner gone,
makes the next. So no lock has to be broken that a dead machine left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from launchkit import files, interrupts, process_table
from launchkit.job import OWN_DIR
from launchkit.sweep import Sweep, SweepError

BEAT_S = 15.0
SILENT_S = 120.0
"""How long a driver that cannot be seen from here must give no sign to be taken for gone."""
LOOK_S = 0.5
WARDEN_S = 30.0


class Driven(SweepError):
    """Another process drives the sweep."""


@dataclass(frozen=True)
class Driver:
    """A process that drives a sweep, or did, as its claim says.

    Parameters
    ----------
    token
        Unique among all claims.
    host, pid
        Where it runs, for people.
    process
        Its `process_table.identity`.
    directory
        The sweep's directory, as it is called there.
    since
        Seconds since the epoch.
    warden
        The identity of the process that ends its jobs should it be killed.
    original
        The identity of the process that drove the sweep of which this one is a copy.
    released
        Whether it has done with the sweep.
    """

    token: str
    host: str
    pid: int
    process: str
    directory: str
    since: float
    warden: str | None = None
    original: str | None = None
    released: bool = False

    @property
    def alive(self) -> bool | None:
        """Whether it still drives; None where that cannot be seen from here."""
        if self.released:
            return False
        return process_table.is_alive(self.process)

    def describe(self) -> str:
        """Return who it is, in words."""
        return f"process {self.pid} on {self.host}"


class Claim:
    """The right to drive a sweep, as long as the block lasts.

    Parameters
    ----------
    sweep
        The sweep.
    say
        Tells a person what is being waited for.

    Raises
    ------
    Driven
        On entering, if another process drives it.
    """

    def __init__(self, sweep: Sweep, say: Callable[[str], None]) -> None:
        self._sweep = sweep
        self._say = say
        self._number = 0
        self._next_beat = 0.0
        self.driver = Driver(
            token=secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            process=process_table.identity(),
            directory=str(sweep.directory),
            since=time.time(),
        )

    def __enter__(self) -> Claim:
        number, last = _latest(self._sweep)
        if last is not None:
            self._see_it_gone(number, last)
            self.driver = replace(self.driver, original=last.original)
        self._number = number + 1
        if not files.write_new(self.path, self._text(), mode=0o600):
            raise _driven(self._sweep, _latest(self._sweep)[1])
        number, last = _latest(self._sweep)
        if number != self._number:  # made late: others have come and gone meanwhile
            self.path.unlink(missing_ok=True)
            raise _driven(self._sweep, last)
        for old in range(max(1, self._number - 8), self._number):
            _path(self._sweep, old).unlink(missing_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        # A full disk keeps it from being said; that the process has ended says the same.
        with contextlib.suppress(OSError):
            self._rewrite(replace(self.driver, released=True))

    def guarded_by(self, warden: str) -> None:
        """Note which process ends the jobs should this one be killed."""
        self._rewrite(replace(self.driver, warden=warden))

    def beat(self) -> None:
        """Leave a sign of life, every so often.

        Raises
        ------
        Driven
            If another process drives by now: this one was taken for gone.
        """
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + BEAT_S
        # A file server that does not answer for a while costs signs of life, no more.
        with contextlib.suppress(OSError):
            number, last = _latest(self._sweep)
            if number > self._number:
                raise _driven(self._sweep, last)
            os.utime(self.path)

    @property
    def path(self) -> Path:
        """The file of the claim."""
        return _path(self._sweep, self._number)

    def _text(self) -> str:
        return json.dumps(asdict(self.driver)) + "\n"

    def _rewrite(self, driver: Driver) -> None:
        self.driver = driver
        files.write_atomic(self.path, self._text(), mode=0o600)

    def _see_it_gone(self, number: int, last: Driver) -> None:
        """Return once the driver of a claim, and its warden, are known to be gone."""
        if last.released:
            return
        moved = last.directory != str(self._sweep.directory)
        if last.alive is None or (moved and last.alive):
            # Another machine's; or this directory was moved away from it.
            self._watch(number, last)
        elif last.alive:
            raise _driven(self._sweep, last)
        deadline = time.monotonic() + WARDEN_S
        while last.warden is not None and process_table.is_alive(last.warden):
            if time.monotonic() > deadline:
                raise SweepError(
                    f"process {process_table.here(last.warden)} is still ending the jobs of a "
                    f"launcher that was killed; try again in a while"
                )
            _sleep(0.02)

    def _watch(self, number: int, last: Driver) -> None:
        """Watch a claim until its silence has lasted long enough, by this machine's clock."""
        path = _path(self._sweep, number)
        self._say(
            f"{last.describe()} was driving this sweep and cannot be seen from here; "
            f"watching for {SILENT_S:.0f} s that it gives no sign of life"
        )
        seen, deadline = _sign(path), time.monotonic() + SILENT_S
        while time.monotonic() < deadline:
            _sleep(LOOK_S)
            if _sign(path) != seen:
                raise _driven(self._sweep, _latest(self._sweep)[1])


def current(sweep: Sweep) -> Driver | None:
    """Return who drives a sweep or was the last to do so; None if nobody ever did."""
    return _latest(sweep)[1]


def refuse_driven(sweep: Sweep) -> None:
    """Raise Driven where it can be seen that another process drives the sweep."""
    last = current(sweep)
    if last is not None and last.alive and last.directory == str(sweep.directory):
        raise _driven(sweep, last)


def _latest(sweep: Sweep) -> tuple[int, Driver | None]:
    """Return the highest number of a claim, and the claim; 0 and None where there is none."""
    while True:
        number = max(_numbers(sweep), default=0)
        if not number:
            return 0, None
        try:
            values = json.loads(_path(sweep, number).read_text(encoding="utf-8"))
            # A later version may say more.
            known = {
                field.name: values[field.name] for field in fields(Driver) if field.name in values
            }
            return number, _as_seen_in(sweep, number, Driver(**known))
        except FileNotFoundError:
            continue  # its owner came late, and has taken it back
        except (ValueError, TypeError) as error:
            raise SweepError(
                f"{_path(sweep, number)} is damaged ({error!r}); remove it if no launcher of "
                "this sweep runs on any machine"
            ) from error


def _as_seen_in(sweep: Sweep, number: int, claimed: Driver) -> Driver:
    """Return a claim as given up where it came along in a copy: its owner drives the original."""
    if claimed.directory == str(sweep.directory) or not claimed.alive:
        return claimed
    own = Path(claimed.directory, OWN_DIR)
    try:
        original = json.loads((own / _path(sweep, number).name).read_text(encoding="utf-8"))
        copied = original["token"] == claimed.token and not own.samefile(sweep.own)
    except (OSError, ValueError, KeyError, TypeError):  # moved away from there
        return claimed
    return replace(claimed, released=True, original=claimed.process) if copied else claimed


def elsewhere(sweep: Sweep) -> int | None:
    """Return the id of the process that drives the sweep whose directory this one is a copy of."""
    last = current(sweep)
    if last is None or last.original is None or not process_table.is_alive(last.original):
        return None
    return process_table.here(last.original)


def _numbers(sweep: Sweep) -> list[int]:
    names = os.listdir(sweep.own)  # noqa: PTH208
    return [int(found[1]) for name in names if (found := re.fullmatch(r"driver-(\d+)\.json", name))]


def _path(sweep: Sweep, number: int) -> Path:
    return sweep.own / f"driver-{number}.json"


def _sleep(seconds: float) -> None:
    with interrupts.felt():
        time.sleep(seconds)


def _sign(path: Path) -> tuple[float, int] | None:
    """Return what changes when the owner of a claim gives a sign of life."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime, status.st_ino


def _driven(sweep: Sweep, last: Driver | None) -> Driven:
    who = last.describe() if last is not None else "another process"
    return Driven(
        f"{sweep.directory} is being driven by {who}; `launchkit wait` follows it, "
        "`launchkit cancel` stops it"
    )
