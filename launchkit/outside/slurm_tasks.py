"""The tasks of a sweep's arrays in Slurm: submitting them, and seeing them end.

A task leaves files: one when it begins, another when it ends. So Slurm is asked seldom, and
always about all tasks at once: only it knows of tasks that are ended from outside.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from launchkit.interrupts import felt
from launchkit.machine.pool import Ended
from launchkit.outside import slurm
from launchkit.outside.packs import Pack
from launchkit.outside.scripts import LOGS
from launchkit.outside.slurm import Seen, SlurmError, SlurmFull, SlurmSilent
from launchkit.outside.slurm_arrays import Array, without
from launchkit.sweep import Sweep

ASK_S = (0.5, 5.0)
"""Seconds between two questions to Slurm: at first, and in a long sweep."""
LOOK_S = (0.05, 1.0)
"""Seconds between two looks at the files, likewise."""
SLOWING = 40
"""The older the sweep, the longer the pauses: a part of its age as small as this."""
SURE = 3
SURE_S = 5.0
"""So many answers, and seconds, without a word from a task make sure that it is gone."""
SUBMIT_AGAIN_S = 10.0
ENDED, STARTED = ".exit", ".log"

log = logging.getLogger(__name__)


@dataclass
class Task:
    """One task in Slurm.

    Parameters
    ----------
    array, index
        Which it is.
    """

    array: str
    index: int
    running: bool = False
    seen_running: bool = False
    node: str = ""
    state: str = ""
    """Slurm's last word about it."""
    absent: int = 0
    absent_since: float = 0.0

    @property
    def id(self) -> str:
        """What Slurm's commands call it."""
        return f"{self.array}_{self.index}"


@dataclass(frozen=True)
class End:
    """Why a task is there no more.

    Parameters
    ----------
    state
        Slurm's word, or in small letters the task's own: ``ended``, ``timeout``; empty if nobody
        knows.
    task
        Which it was, in words.
    started
        Whether it had begun.
    """

    state: str
    task: str
    started: bool


class Tasks:
    """Packs as tasks of arrays.

    Parameters
    ----------
    sweep
        The sweep.
    into_arrays
        Puts packs into arrays.
    submit
        Submits an array, and returns its id; raises what `slurm.submit` does.
    find
        Returns the id of an array that was taken though nobody heard of it, if one was.
    parallelism
        How many tasks run at a time; None for as many as Slurm lets.
    """

    def __init__(
        self,
        sweep: Sweep,
        into_arrays: Callable[[Sequence[Pack]], Sequence[Array]],
        submit: Callable[[Array], str],
        find: Callable[[Array], str | None],
        parallelism: int | None = None,
    ) -> None:
        self._folder = sweep.own / LOGS
        self._into_arrays = into_arrays
        self._submit = submit
        self._find = find
        self._parallelism = parallelism
        self._new: list[Array] = []
        self._later: list[Array] = []
        self._submit_at = 0.0
        self._in_doubt = False
        self._tasks: dict[int, Task] = {}
        self._refused: list[Ended] = []
        self._busy_since = self._ask_at = time.monotonic()
        self._silent = False
        self._waits_for_room = False
        self.ends: dict[int, End] = {}
        """Why packs have ended of which no exit code is known."""

    def add(self, packs: Sequence[Pack]) -> None:
        """Queue packs; they are submitted at the next `wait` that has room for them."""
        made = self._into_arrays(packs)
        # An array's limit is its own: what comes later waits here until the others leave room.
        if self._parallelism is None or not (self._new or self._tasks):
            self._new += made
        else:
            self._later += made
        self._hurry()

    def remove(self, nums: Iterable[int]) -> list[int]:
        """Take packs back that have not started, and return which these are."""
        wanted = set(nums)
        waiting = [*self._new, *self._later]
        removed = [pack.num for array in waiting for pack in array.packs if pack.num in wanted]
        self._new = without(self._new, wanted)
        self._later = without(self._later, wanted)
        left = [num for num in wanted if num in self._tasks and not self._tasks[num].running]
        if left:
            removed += self._take_back(left)
        return removed

    def wait(self, timeout: float) -> list[Ended]:
        """Submit what is new, and wait until a task has ended."""
        deadline = time.monotonic() + timeout
        while True:
            self._submit_new()
            ended, self._refused = [*self._refused, *self._look()], []
            left = deadline - time.monotonic()
            if ended or left <= 0:
                return ended
            with felt():
                time.sleep(min(left, self._pause(LOOK_S)))

    def kill(self, nums: Sequence[int]) -> None:
        """End tasks, those that wait as well."""
        try:
            tasks = [self._tasks[num] for num in nums if num in self._tasks]
            slurm.cancel(slurm.names((task.array, task.index) for task in tasks))
        except (SlurmSilent, SlurmError) as error:
            log.debug("scancel: %s", error)  # it is tried again while they are there
        self._hurry()

    @property
    def left(self) -> tuple[int, ...]:
        """The packs whose tasks have not ended."""
        return tuple(self._tasks)

    @property
    def running(self) -> tuple[int, ...]:
        """The packs whose tasks have begun."""
        return tuple(num for num, task in self._tasks.items() if task.running)

    # Submitting

    def _submit_new(self) -> None:
        room = (self._parallelism or 0) - len(self._tasks)
        if self._later and not self._new and room > 0:
            array = self._later.pop(0)
            self._new.append(replace(array, parallelism=room))
        while self._new and time.monotonic() >= self._submit_at:
            array = self._new[0]
            try:
                taken = self._find(array) if self._in_doubt else None
                taken = taken or self._submit(array)
            except SlurmSilent as error:
                self._in_doubt = True
                self._say_silent(error)
                self._submit_at = time.monotonic() + SUBMIT_AGAIN_S
                return
            except SlurmError as error:
                if isinstance(error, SlurmFull) and self._tasks:
                    self._say_full(error)
                    self._submit_at = time.monotonic() + SUBMIT_AGAIN_S
                    return
                self._refuse(array, error)
            else:
                self._in_doubt = False
                for pack in array.packs:
                    self._tasks[pack.num] = Task(taken, pack.num - array.first)
            self._new.pop(0)
            self._hurry()

    def _refuse(self, array: Array, error: SlurmError) -> None:
        for pack in array.packs:
            self.ends[pack.num] = End(f"sbatch: {error}", "", started=False)
            self._refused.append(Ended(pack.num, 1))

    # Looking

    def _look(self) -> list[Ended]:
        if not self._tasks:
            return []
        ended = self._read_files()
        if not ended and time.monotonic() >= self._ask_at:
            ended = self._ask()
            self._ask_at = time.monotonic() + self._pause(ASK_S)
        return ended

    def _read_files(self) -> list[Ended]:
        try:
            names = set(os.listdir(self._folder))  # noqa: PTH208 - often, and of many
        except OSError:  # a file server does not answer for a while
            return []
        ended = []
        for num, task in list(self._tasks.items()):
            if f"{num}{ENDED}" in names:
                ended += self._read_end(num)
            elif f"{num}{STARTED}" in names and not task.seen_running:
                task.running = True
        return ended

    def _read_end(self, num: int) -> list[Ended]:
        """Return the end of a task that has said how it ended."""
        path = self._folder / f"{num}{ENDED}"
        try:
            code, why = path.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return []
        path.unlink(missing_ok=True)
        (self._folder / f"{num}.requeues").unlink(missing_ok=True)
        self._tasks[num].running = True
        return [self._ended(num, why, int(code))]

    def _ask(self) -> list[Ended]:
        """Ask Slurm about all tasks, and return those that are there no more."""
        try:
            seen = slurm.tasks({task.array for task in self._tasks.values()})
        except (SlurmSilent, SlurmError) as error:
            self._say_silent(error)
            return []
        if self._silent:
            log.info("Slurm answers again")
            self._silent = False
        # After the answer: a task may have said how it ended before it was gone.
        return self._read_files() or self._compare(seen)

    def _compare(self, seen: Sequence[Seen]) -> list[Ended]:
        known = {(task.array, task.index): task for task in seen if task.index is not None}
        cancelled = {task.array for task in seen if task.index is None and task.gone}
        ended = []
        for num, task in list(self._tasks.items()):
            now = known.get((task.array, task.index))
            if now is not None:
                task.state, task.node = now.state, now.node or task.node
            if now is not None and not now.gone:
                self._note_alive(task, now)
            elif now is None and not task.running and task.array in cancelled:
                ended.append(self._ended(num, "CANCELLED", 1))
            elif self._is_sure(task, forgotten=now is None):
                ended.append(self._ended(num, now.state if now else "", 1))
        return ended

    def _note_alive(self, task: Task, now: Seen) -> None:
        task.absent = 0
        if now.state == "RUNNING":
            task.running = task.seen_running = True
        elif now.state == "PENDING" and task.seen_running:
            task.running = False  # it is in the queue again

    def _is_sure(self, task: Task, *, forgotten: bool) -> bool:
        """Tell whether a task is to be given up that is not there, and has not said why."""
        now = time.monotonic()
        if not task.absent:
            task.absent_since = now
            self._hurry()
        task.absent += 1
        if not forgotten and task.state in ("CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL"):
            return task.absent > 1  # they leave no word; and it may be on its way to the queue
        return task.absent >= SURE and now - task.absent_since >= SURE_S

    def _ended(self, num: int, state: str, code: int) -> Ended:
        task = self._tasks.pop(num)
        if not state and not task.running:
            # Slurm forgets a task that has not begun only if somebody has cancelled it.
            state = "CANCELLED" if task.state in ("", "PENDING") else task.state
        name = f"Slurm's task {task.id}" + (f" on {task.node}" if task.node else "")
        self.ends[num] = End(state, name, task.running)
        return Ended(num, code)

    def _take_back(self, nums: Sequence[int]) -> list[int]:
        """Cancel tasks that wait in Slurm, and return which did so until then."""
        wanted = {(self._tasks[num].array, self._tasks[num].index) for num in nums}
        arrays = {array for array, _ in wanted}
        try:
            waiting = [
                (task.array, task.index)
                for task in slurm.tasks(arrays)
                if task.index is not None and task.state == "PENDING"
            ]
            slurm.cancel(slurm.names(wanted.intersection(waiting)))
            # One that has begun in between is asked as all others are.
            seen = slurm.tasks(arrays)
        except (SlurmSilent, SlurmError) as error:
            self._say_silent(error)
            return []
        alive = {(task.array, task.index) for task in seen if not task.gone}
        names = set(os.listdir(self._folder))  # noqa: PTH208 - as above
        gone = [
            num
            for num in nums
            if (self._tasks[num].array, self._tasks[num].index) not in alive
            and f"{num}{ENDED}" not in names
        ]
        for num in gone:
            del self._tasks[num]
        return gone

    # Pace and words

    def _hurry(self) -> None:
        """Something is about to change: look and ask as often as at first, for a while."""
        self._busy_since = time.monotonic()
        self._ask_at = min(self._ask_at, self._busy_since + ASK_S[0])

    def _pause(self, limits: tuple[float, float]) -> float:
        least, most = limits
        return min(most, max(least, (time.monotonic() - self._busy_since) / SLOWING))

    def _say_silent(self, error: Exception) -> None:
        if not self._silent:
            log.warning("Slurm does not answer (%s); waiting for it, the jobs go on", error)
        self._silent = True

    def _say_full(self, error: Exception) -> None:
        if not self._waits_for_room:
            log.warning("Slurm takes no more jobs now (%s); the rest waits here", error)
        self._waits_for_room = True
