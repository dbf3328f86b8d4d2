"""A round of the chaos: a sweep, what is killed of it, and its resumption until all is done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import chaos_ledger
import chaos_verdict
from chaos_commands import HERE, JOBS, ROOT, STEPS, Commands
from chaos_kill import kill
from chaos_steps import WHO, deaths
from chaos_watch import Watch

from launchkit import driver, process_table
from launchkit.job import JobState
from launchkit.sweep import Sweep

FAULTS = ("launcher", "worker", "child", "supervisor", "warden", "step", "all")
"""What is killed: the last but one is the launcher, or a fork of it, before a certain change of
what is on the disk; the last is any of the others.
"""
METHODS = ("fork", "spawn")
DOORS = ("engine", "hydra")

CHANGES = {"driver": 36, "forks": 56}
"""How many changes of what is on the disk they make, about."""
PATIENCE_S = 60.0
USUAL_S = {"engine": {"fork": 1.0, "spawn": 1.5}, "hydra": {"fork": 2.0, "spawn": 4.0}}
"""How long a sweep takes that nobody disturbs, about."""


@dataclass
class Report:
    """What a round came to."""

    kills: Counter[str] = field(default_factory=Counter)
    launches: int = 0
    looks: int = 0
    statuses: int = 0
    lost: list[str] = field(default_factory=list)


class Round:
    """One sweep.

    Parameters
    ----------
    root
        An empty directory for it.
    fault
        What is killed, at random moments.
    method
        How jobs are started.
    door
        Which program drives it.
    seed
        Of all that is random in it, but for the machine's own timing.
    most
        How many times something is killed; then the sweep is left in peace.
    before
        A directory of modules that its processes find before all others.
    """

    def __init__(
        self,
        root: Path,
        fault: str,
        method: str,
        door: str,
        seed: str,
        most: int,
        before: str = "",
    ) -> None:
        self._root, self._sweep, self._ledger = root, root / "sweep", root / "ledger"
        self._ledger.mkdir(parents=True)
        self._fault, self._method, self._door, self._most = fault, method, door, most
        self._chance = random.Random(seed)
        self._path = os.pathsep.join([*([before] if before else []), str(ROOT), str(HERE)])
        retries = self._chance.choice([0, 2])
        self._commands = Commands(self._sweep, self._ledger, method, retries)
        self._launcher: subprocess.Popen[bytes] | None = None
        self._detached = False
        self._half_detached = self._steps = False
        self._report = Report()

    def play(self) -> Report:
        """Play it to its end; a round that does not come to one has lost it all."""
        deadline = time.monotonic() + PATIENCE_S
        with Watch(self._sweep, JOBS) as watch:
            while not self._is_done():
                if time.monotonic() > deadline:
                    self._report.lost.append(f"not done after {PATIENCE_S} s: {self._standing()}")
                    break
                self._launch()
                self._disturb()
                self._see_it_ended()
        self._report.looks, self._report.statuses = watch.looks, watch.statuses
        self._report.kills["step"] = deaths(self._ledger)
        self._report.lost += watch.wrong
        if not self._report.lost:
            self._report.lost += chaos_verdict.lost(self._sweep, self._ledger, JOBS, STEPS)
        self._end_what_is_left()
        return self._report

    # Launching

    def _launch(self) -> None:
        self._detached = self._fault == "supervisor" or (
            self._fault == "all" and self._chance.random() < 0.5
        )
        self._report.launches += 1
        with (self._root / f"launch-{self._report.launches}.log").open("wb") as log:
            self._launcher = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                env={**os.environ, "PYTHONPATH": self._path},
                start_new_session=True,
            )

    def _command(self) -> list[str]:
        self._steps = self._fault == "step" or (
            self._fault == "all" and self._door == "engine" and self._chance.random() < 0.2
        )
        if not self._steps and self._can_be_resumed() and self._chance.random() < 0.6:
            return self._commands.resume(self._detached)
        if self._steps and self._report.launches <= self._most:
            who = self._chance.choice(WHO)
            dies = [f"--dies={who}", f"--change={self._chance.randrange(1, CHANGES[who])}"]
            return [*self._commands.engine(self._detached), *dies]
        if self._steps or self._door == "engine":
            return self._commands.engine(self._detached)
        return self._commands.hydra(self._detached)

    def _can_be_resumed(self) -> bool:
        """Tell whether the sweep has come so far that it holds all it needs."""
        return (self._sweep / ".launchkit" / "payload.pkl").exists()

    # Disturbing

    def _disturb(self) -> None:
        usual = USUAL_S[self._door][self._method]
        while sum(self._report.kills.values()) < self._most and self._is_going_on():
            if self._chance.random() < 0.6:
                self._wait(lambda: bool(self._running()) or not self._is_going_on())
                self._sleep(self._chance.uniform(0.0, 0.15))
            else:
                self._sleep(self._chance.uniform(0.0, usual))
            fault = self._fault
            if fault == "all":
                fault = self._chance.choice(FAULTS[:-2])
            killed = getattr(self, f"_kill_{fault}")()
            self._report.kills[fault] += killed

    def _kill_step(self) -> bool:
        """It is killed by itself."""
        assert self._launcher is not None
        self._wait(lambda: not self._is_going_on())
        return False

    def _kill_launcher(self) -> bool:
        assert self._launcher is not None
        if self._launcher.poll() is not None:
            return self._kill_supervisor() if self._detached else False
        self._half_detached |= self._detached
        self._launcher.kill()
        return True

    def _kill_supervisor(self) -> bool:
        last = self._driver()
        return last is not None and kill(last.process)

    def _kill_worker(self) -> bool:
        running = self._running()
        return bool(running) and kill(self._chance.choice(running))

    def _kill_child(self) -> bool:
        nums = range(JOBS)
        alive = [p for num in nums for p in chaos_ledger.processes(self._ledger, num, "child")]
        return bool(alive) and kill(self._chance.choice(alive))

    def _kill_warden(self) -> bool:
        """Kill the warden and the one whom it guards, one right after the other."""
        last = self._driver()
        if last is None or last.warden is None:
            return False
        both = [last.warden, last.process]
        self._chance.shuffle(both)
        return sum(map(kill, both)) == len(both)

    # Waiting

    def _see_it_ended(self) -> None:
        assert self._launcher is not None
        self._wait(lambda: not self._is_going_on())
        code = self._launcher.wait()
        last = self._driver()
        if last is not None:
            self._wait(lambda: not process_table.is_alive(last.process))
        said = (self._root / f"launch-{self._report.launches}.log").read_text()
        # The supervisor of a launcher that was killed while it handed over may drive by now.
        late = self._half_detached and "is being driven by" in said
        # Hydra shows a failed job as its own traceback.
        broken = "Traceback (most recent call last)" in said and "ChildDied" not in said
        if (code in (0, 1, -signal.SIGKILL) or late) and not broken:
            return
        if code == 2 and self._detached and "has ended early" in said:
            return  # the supervisor was killed before it was ready
        self._report.lost.append(f"the launcher ended with {code}: {said[-2000:]}")

    def _is_going_on(self) -> bool:
        assert self._launcher is not None
        if self._launcher.poll() is None:
            return True
        last = self._driver()
        return last is not None and last.alive is True

    def _wait(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._root}: {self._standing()}")
            time.sleep(0.002)

    def _sleep(self, seconds: float) -> None:
        """Sleep as long as the sweep goes on."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._is_going_on():
            time.sleep(0.002)

    # What is known of it

    def _driver(self) -> driver.Driver | None:
        sweep = self._open()
        return driver.current(sweep) if sweep is not None else None

    def _running(self) -> list[str]:
        sweep = self._open()
        attempts = sweep.attempts().values() if sweep is not None else ()
        found = [known.process for known in attempts if known.state is JobState.RUNNING]
        return [process for process in found if process and process_table.is_alive(process)]

    def _standing(self) -> str:
        sweep = self._open()
        return str(sweep.attempts()) if sweep is not None else "no sweep"

    def _is_done(self) -> bool:
        if self._report.lost:
            return True
        sweep = self._open()
        states = [known.state for known in sweep.attempts().values()] if sweep is not None else []
        return len(states) == JOBS and set(states) == {JobState.COMPLETED}

    def _open(self) -> Sweep | None:
        if not (self._sweep / ".launchkit" / "sweep.json").exists():
            return None
        return Sweep.open(self._sweep)

    def _end_what_is_left(self) -> None:
        """Leave nothing behind, of a round that was lost."""
        last = self._driver()
        if last is not None:
            kill(last.process)
        sweep = self._open()
        if sweep is not None:
            for pid in process_table.tagged("LAUNCHKIT_SWEEP", sweep.id):
                kill(process_table.identity(pid))
        for num in range(JOBS):
            for process in chaos_ledger.processes(self._ledger, num, "child"):
                kill(process)
