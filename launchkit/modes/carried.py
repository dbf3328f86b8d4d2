"""What the modes share whose jobs leave the launcher's Python: packs, hosts and carriers.

The jobs go out in packs. A pack's host, `launchkit.host`, runs them and writes their states
where they run; a carrier, a container for one, is what runs the host. The launcher asks the
host in files, and ends the carrier where it gets no answer.
"""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from launchkit.doodad import archive, engine
from launchkit.job import Attempt, Job, JobError, JobState
from launchkit.modes import baggage
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Mode, Plan, Stop, known_state, settle, signal_name
from launchkit.modes.carriers import Carriers
from launchkit.outside import asks, packs
from launchkit.outside.asks import Ask
from launchkit.outside.packs import Pack
from launchkit.outside.scripts import LOGS
from launchkit.outside.settings import Outside
from launchkit.outside.trial import last_line
from launchkit.sweep import Sweep
from launchkit.task import Task, is_saved

LOOK_S = 0.25
MARGIN_S = 5.0
AHEAD = 16
"""How many jobs of a pack that have not started are looked at."""

S = TypeVar("S", bound=Outside)


class CarriedMode(Mode, Generic[S]):
    """The part of a mode that is the same whatever carries the packs.

    A subclass sets `Settings`, and says what its carriers and scripts are.
    """

    leaves_elsewhere = True
    Settings: ClassVar[type[Outside]]
    """A dataclass of the mode's settings."""
    archive_level: ClassVar[int] = archive.QUICK
    """How small the archive is made: see `archive.build`."""

    def __init__(self, **settings: Any) -> None:
        self.settings: S = self.Settings(**settings)  # type: ignore[assignment]  # S is its class
        self.sweep: Sweep | None = None
        self._baggage: Baggage | None = None
        self._checked = self._packed = False
        self._carriers: Carriers | None = None
        self._jobs: dict[int, Job] = {}
        self._pack_of: dict[int, int] = {}
        self._left: dict[int, list[int]] = {}
        self._running: set[int] = set()
        self._stops: dict[int, Stop] = {}
        self._stopped: list[int] = []
        self._kill_at: dict[int, float] = {}

    @property
    def margin_s(self) -> float:
        """How much longer than its jobs' grace a host has to end them before it is ended itself."""
        return MARGIN_S

    @classmethod
    def lacking(cls) -> list[str]:
        """Say that doodad is lacking, where it is."""
        return engine.lacking()

    @classmethod
    def setting_names(cls) -> list[str]:
        """Return the fields of the settings."""
        return [field.name for field in fields(cls.Settings)]

    # What a mode says of itself

    @abstractmethod
    def scripts(self, baggage: Baggage, sweep: Sweep, roots: Sequence[Path]) -> dict[str, str]:
        """Return the scripts of the archive by name: ``run.sh``, ``final_script.sh``, others.

        Parameters
        ----------
        baggage
            What goes along.
        sweep
            The sweep.
        roots
            Directories beside the sweep's own that jobs write to.
        """

    def programs(self) -> dict[str, Path]:
        """Return what else is in the archive, by name."""
        return {}

    @abstractmethod
    def describe(self, jobs: Sequence[Job]) -> list[str]:
        """Return what will carry the jobs, in words, a line each."""

    @abstractmethod
    def carriers(self, sweep: Sweep) -> Carriers:
        """Return what carries the packs of a sweep."""

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """Ask what is to carry the jobs whether it can; raise ValueError if not."""

    def make_packs(self, sweep: Sweep, jobs: Sequence[Job]) -> list[Pack]:
        """Put jobs into packs: one each, where the mode knows no better."""
        made = packs.add(sweep, [[job.num] for job in jobs], {"n_jobs": 1})
        return [replace(pack, needs=job.needs) for pack, job in zip(made, jobs, strict=True)]

    def deliver(self, sweep: Sweep) -> None:
        """Bring the archive to where it is used."""
        baggage.unpack(sweep)

    # What every mode does

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Find what goes along, and say how the packs are carried."""
        lines, details = self.describe(jobs), list[str]()
        if is_saved(task):
            lines.append(f"code: as packed when the sweep was begun, {baggage.FILE}")
        else:
            found = self._found(sweep, jobs)
            lines += found.describe()
            for name, text in self.scripts(found, sweep, roots_of(sweep, jobs)).items():
                details += [f"{name}:", *(f"  | {line}" for line in text.splitlines())]
        return Plan(sweep, tuple(jobs), task, tuple(lines), pickles=True, details=tuple(details))

    def check(self, plan: Plan) -> None:
        """See to it that doodad is here, and whatever else is needed; once is enough."""
        if self._checked:
            return
        engine.check()
        self.check_there(plan, None if is_saved(plan.task) else self._found(plan.sweep, plan.jobs))
        self._checked = True

    def prepare(self, plan: Plan) -> None:
        """Make the archive, once a sweep."""
        if self._packed:
            return
        baggage.put_away(plan.sweep)
        found = self._found(plan.sweep, plan.jobs)
        roots = roots_of(plan.sweep, plan.jobs)
        scripts = self.scripts(found, plan.sweep, roots)
        found.pack(plan, {**scripts, **self.programs()}, self.settings.image, self.archive_level)
        self._packed = True

    def submit(self, plan: Plan) -> None:
        """Hand the jobs over, in packs."""
        self.sweep = plan.sweep
        self.deliver(plan.sweep)
        if self._carriers is None:
            self._carriers = self.carriers(plan.sweep)
        made = self.make_packs(plan.sweep, plan.jobs)
        self._look_after(plan.jobs, made)
        self._carriers.add(made)

    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Wait until a job or a carrier ends."""
        attempts = {}
        while self._stopped:
            num = self._stopped.pop(0)
            attempts[num] = self._settle(num, 0, None)
        if attempts or self._carriers is None:
            return attempts
        self._press()
        shared = any(len(left) > 1 for left in self._left.values())
        soon = shared or bool(self._kill_at)
        for ended in self._carriers.wait(min(timeout, LOOK_S) if soon else timeout):
            died = self._death(ended.num, ended.code)
            self._kill_at.pop(ended.num, None)
            for num in list(self._left.get(ended.num, ())):
                attempts[num] = self._settle(num, ended.code, died)
            self._close(ended.num, ended.code)
        return attempts | self._seen()

    def cancel(self, nums: Iterable[int], grace: float, stop: Stop) -> None:
        """Give up packs that have not started, and ask the hosts of the others."""
        wanted: dict[int, list[int]] = {}
        for num in nums:
            if num in self._pack_of and num not in self._stopped:
                self._stops.setdefault(num, stop)
                wanted.setdefault(self._pack_of[num], []).append(num)
        for pack, asked in wanted.items():
            self._cancel(pack, asked, grace, stop)

    def close(self, sweep: Sweep) -> None:
        """Remove the unpacked archive, and the place of what carriers have printed, if empty."""
        baggage.put_away(sweep)
        with contextlib.suppress(OSError):
            (sweep.own / LOGS).rmdir()

    def end_left(self, sweep: Sweep) -> None:
        """Remove the unpacked archive; a subclass ends the carriers first."""
        baggage.put_away(sweep)

    def running(self) -> tuple[int, ...]:
        """Return the jobs that say they run."""
        return tuple(self._running)

    def _look_after(self, jobs: Sequence[Job], made: Sequence[Pack]) -> None:
        """Take note of jobs, and of the packs that they are in."""
        self._jobs.update((job.num, job) for job in jobs)
        for pack in made:
            self._left[pack.num] = list(pack.jobs)
            self._pack_of.update(dict.fromkeys(pack.jobs, pack.num))

    def _found(self, sweep: Sweep, jobs: Sequence[Job]) -> Baggage:
        if self._baggage is None:
            beside = [root for root in roots_of(sweep, jobs) if not Path.cwd().is_relative_to(root)]
            self._baggage = Baggage.of(self.settings, [sweep.directory, *beside])
        return self._baggage

    def _cancel(self, pack: int, asked: Sequence[int], grace: float, stop: Stop) -> None:
        assert self._carriers is not None
        assert self.sweep is not None
        whole = self._stops.keys() >= set(self._left[pack])
        if whole and self._carriers.remove([pack]):
            self._stopped += self._left[pack]
            return
        asks.ask(self.sweep, pack, Ask(tuple(asked), grace, stop.state, stop.error))
        if whole:
            due = time.monotonic() + (grace + self.margin_s if grace else 0.0)
            self._kill_at[pack] = min(due, self._kill_at.get(pack, due))
            self._press()

    def _press(self) -> None:
        """End the carriers whose hosts have not ended their jobs in time."""
        due = [pack for pack, moment in self._kill_at.items() if moment <= time.monotonic()]
        if due and self._carriers is not None:
            self._carriers.kill(due)
            for pack in due:
                self._kill_at[pack] = time.monotonic() + self.margin_s

    def _seen(self) -> dict[int, Attempt]:
        """Look at what the jobs of running packs say; return those that have ended.

        The end of the only job of a pack is that of its carrier.
        """
        attempts = {}
        assert self._carriers is not None
        for pack in self._carriers.running:
            left = list(self._left.get(pack, ()))
            alone = len(left) == 1
            waiting = 0
            for num in left:
                if alone and num in self._running:
                    continue
                state = known_state(self._jobs[num]).state
                if not alone and self.has_ended(num, state):
                    attempts[num] = self._settle(num, 0, None)
                elif state is JobState.RUNNING:
                    self._running.add(num)
                else:
                    # They start in order: who looked at all would keep a file server busy.
                    waiting += 1
                    if waiting >= AHEAD:
                        break
        return attempts

    def has_ended(self, num: int, state: JobState) -> bool:
        """Tell whether a job in a state has ended while its carrier has not."""
        return state.final

    def _settle(self, num: int, code: int, died: Stop | None) -> Attempt:
        left = self._left[self._pack_of.pop(num)]
        left.remove(num)
        self._running.discard(num)
        return settle(self._jobs.pop(num), code, self._stops.pop(num, None), died)

    def _death(self, pack: int, code: int) -> Stop:
        """Return what has become of a job whose carrier ended before it."""
        assert self.sweep is not None
        refused = asks.refusal(self.sweep, pack)
        if refused is not None:
            return Stop(JobState.FAILED, refused)
        started = any(
            known_state(self._jobs[num]).state is JobState.RUNNING for num in self._left[pack]
        )
        said = self._last_words(pack)
        how = f"exit code {code}" if code >= 0 else f"{signal_name(-code)} ended it"
        text = how + (f": {said}" if said else "")
        return Stop(JobState.LOST if started else JobState.FAILED, JobError("CarrierEnded", text))

    def _last_words(self, pack: int) -> str:
        assert self.sweep is not None
        try:
            text = self.log_of(self.sweep, pack).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return last_line(text)

    def _close(self, pack: int, code: int) -> None:
        """Forget a pack; what its carrier printed is kept where it may tell something."""
        self._left.pop(pack, None)
        assert self.sweep is not None
        log = self.log_of(self.sweep, pack)
        if log.exists() and (code == 0 or not log.stat().st_size):
            log.unlink()

    def log_of(self, sweep: Sweep, pack: int) -> Path:
        """Return the file of what a pack's carrier prints."""
        return sweep.own / LOGS / f"{pack}.log"

    def new_log(self, sweep: Sweep, pack: int) -> Path:
        """Make the file of what a pack's carrier is going to print, for the owner only."""
        path = self.log_of(sweep, pack)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.touch(0o600)
        return path


def roots_of(sweep: Sweep, jobs: Sequence[Job]) -> list[Path]:
    """Return the fewest directories beside the sweep's that hold all jobs' directories."""
    outside = {job.directory.parent for job in jobs if not _within(job, sweep)}
    return sorted(
        root for root in outside if not any(root != o and root.is_relative_to(o) for o in outside)
    )


def _within(job: Job, sweep: Sweep) -> bool:
    return job.directory.is_relative_to(sweep.directory)
