"""``slurm_singularity``: packs of jobs as the tasks of a Slurm array."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from launchkit import files
from launchkit.doodad.slurm_mode import write_script
from launchkit.job import Attempt, JobError, JobState, change, end, read
from launchkit.modes import contained
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan, Stop
from launchkit.modes.carriers import Carriers
from launchkit.modes.slurm_packs import SlurmPacksMode, name_of
from launchkit.outside import asks, packs, singularity, slurm, slurm_script
from launchkit.outside.asks import Ask
from launchkit.outside.containers import Container
from launchkit.outside.packs import Pack
from launchkit.outside.singularity import SingularityError
from launchkit.outside.singularity_script import IMAGE, is_remote
from launchkit.outside.slurm import Seen, SlurmError, SlurmSilent
from launchkit.outside.slurm_arrays import Array, arrays
from launchkit.outside.slurm_tasks import Tasks
from launchkit.payload import SAME_CWD
from launchkit.standing import GONE
from launchkit.sweep import TAG, Sweep, SweepError

RECORD = "slurm.jsonl"
"""The file, below the sweep, of the arrays that may not have ended."""
GENTLE_S = 3.0
END_S = 150.0
"""Seconds that Slurm has to end tasks: it gives them some before it kills, 30 by default."""


class SlurmMode(SlurmPacksMode):
    """Runs packs of jobs as the tasks of a Slurm array, in Singularity or on the nodes' Python."""

    name = "slurm_singularity"
    first_pythons = (sys.executable,)  # the nodes share the disk

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._tasks: Tasks | None = None

    @classmethod
    def lacking(cls) -> list[str]:
        """Say whether Slurm or doodad is lacking."""
        return [*slurm.lacking(), *super().lacking()]

    def array_script(self, sweep: Sweep) -> str:
        """Return what each task runs."""
        # What a job writes beside its program is not to land in a copy that is removed.
        variables = {TAG: sweep.tag, SAME_CWD: "1"}
        return slurm_script.array_script(sweep.directory, variables, self.settings.max_requeues)

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """Ask Slurm whether it would take the tasks."""
        slurm.check()
        if self.settings.image is not None:
            self._check_image(plan, baggage)
        script = self.array_script(plan.sweep)
        try:
            for needs in dict.fromkeys(job.needs for job in plan.jobs):
                slurm.try_out(self.flags(plan.sweep, needs), script)
            self.max_array_size = slurm.max_array_size(slurm.settings())
        except (SlurmError, SlurmSilent) as error:
            raise ValueError(self._explained(str(error))) from error

    def carriers(self, sweep: Sweep) -> Carriers:
        """Return the tasks of the sweep in Slurm."""
        with contextlib.suppress(SlurmError, SlurmSilent):
            self.max_array_size = slurm.max_array_size(slurm.settings())
        write_script(sweep.own / slurm_script.FILE, self.array_script(sweep))
        self._tasks = Tasks(
            sweep,
            lambda made: arrays(made, self.max_array_size, self.settings.array_parallelism),
            functools.partial(self.submit_array, sweep),
            functools.partial(_find_taken, sweep),
            self.settings.array_parallelism,
        )
        return self._tasks

    def submit_array(self, sweep: Sweep, array: Array) -> str:
        """Submit an array, and return its id; see `slurm.submit`."""
        self._mark_submitted(array.packs)
        line = {"tag": sweep.tag, "first": array.first, "array": None}
        # Before and after: a launcher may be killed in between.
        files.append_line(sweep.own / RECORD, json.dumps(line), mode=0o600)
        comment = f"--comment={_comment(sweep)}{array.first}"
        taken = slurm.submit(["--parsable", comment, *self.arguments(sweep, array)])
        line["array"] = taken
        files.append_line(sweep.own / RECORD, json.dumps(line), mode=0o600)
        return taken

    def close(self, sweep: Sweep) -> None:
        """Remove what only tasks that run need."""
        if self._tasks is not None and self._tasks.left:
            # They had their time to end: `launchkit cancel` finds them if they do not now.
            self._tasks.kill(self._tasks.left)
        else:
            (sweep.own / RECORD).unlink(missing_ok=True)
        (sweep.own / IMAGE).unlink(missing_ok=True)
        super().close(sweep)

    def end_left(self, sweep: Sweep) -> None:
        """Take the tasks out of Slurm that a killed launcher has left."""
        try:
            _end_left(sweep)
        except (SlurmError, SlurmSilent) as error:
            raise SweepError(
                f"{sweep.directory}: a killed launcher has left tasks in Slurm, and they cannot be "
                f"ended now: {error}"
            ) from error
        super().end_left(sweep)

    def has_ended(self, num: int, state: JobState) -> bool:
        """Tell whether a job has ended that does not go on with its task, which may come back."""
        if state is JobState.CANCELLED and num not in self._stops:
            return False  # its host is about to say why
        return state.final and state not in (JobState.PREEMPTED, JobState.LOST)

    def deliver(self, sweep: Sweep) -> None:
        """Unpack the archive, and fetch the image once for all, where that can be done here."""
        super().deliver(sweep)
        image = self.settings.image
        if image is not None and is_remote(image) and not singularity.lacking():
            try:
                singularity.fetch(image, sweep.own / IMAGE)
            except SingularityError as error:
                raise SweepError(f"{sweep.directory}: {error}") from error

    def _check_image(self, plan: Plan, baggage: Baggage | None) -> None:
        """See to it that the image will do, as far as can be seen here: the nodes may have more."""
        image = singularity.located(self.settings.image_name)
        contained.check_mounts(self.settings, plan, baggage)
        if singularity.lacking():
            return

        def run(container: Container, script: str) -> subprocess.CompletedProcess[str]:
            return singularity.trial(replace(container, image=image, gpus=False), script, {})

        contained.check(self.settings, plan, baggage, run)

    def _mark_submitted(self, handed_over: Sequence[Pack]) -> None:
        for pack in handed_over:
            for num in pack.jobs:
                # A job that cannot be written says so itself when it is run.
                with contextlib.suppress(OSError):
                    change(self._jobs[num], JobState.SUBMITTED)

    def _settle(self, num: int, code: int, died: Stop | None) -> Attempt:
        job, stop = self._jobs[num], self._stops.get(num) or died
        attempt = super()._settle(num, code, died)
        ended = (JobState.CANCELLED, JobState.TIMEOUT)
        if attempt.state is not JobState.PREEMPTED or stop is None or stop.state not in ended:
            return attempt
        # What took the machine away, the job could not tell.
        return end(job, stop.state, exit_code=attempt.exit_code, error=stop.error)

    def _death(self, pack: int, code: int) -> Stop:
        assert self._tasks is not None
        why = self._tasks.ends.pop(pack)
        if why.state.startswith("sbatch: "):
            return Stop(JobState.FAILED, JobError("NotSubmitted", self._explained(why.state)))
        if why.state in _ENDS:
            state, error, words = _ENDS[why.state]
            return Stop(state, JobError(error, f"{why.task} {words}"))
        if why.state in ("TIMEOUT", "DEADLINE", "timeout"):
            return Stop(JobState.TIMEOUT, JobError("TimeLimit", f"{why.task}: {self._limit()}"))
        if not why.started:
            assert self.sweep is not None
            text = (
                f"{why.task} ended ({why.state}) and has left no word; is "
                f"{self.sweep.directory} on a disk that the nodes share?"
            )
            return Stop(JobState.FAILED, JobError("CarrierEnded", text))
        died = super()._death(pack, code)
        if not why.state and died.state is not JobState.LOST:
            # Slurm has forgotten it, and its jobs say that they were told to end.
            state, error, words = _ENDS["CANCELLED"]
            return Stop(state, JobError(error, f"{why.task} {words}"))
        return died

    def _limit(self) -> str:
        limit, many = self.settings.time_in_mins, self.settings.max_requeues
        text = "the time limit" if limit is None else f"{limit} min (time_in_mins)"
        return f"{text} was not enough, {many} requeues (max_requeues) included"

    def _explained(self, said: str) -> str:
        """Return what Slurm says with the settings that it may mean."""
        low, settings = said.lower(), self.settings
        names = [name for word, names in _MEANT.items() if word in low for name in names]
        values = {name: getattr(settings, name) for name in dict.fromkeys(names)}
        given = ", ".join(f"{key} is {value!r}" for key, value in values.items() if value)
        if not given and settings.sbatch_args:
            given = f"sbatch_args is {list(settings.sbatch_args)}"
        return f"Slurm refuses the tasks: {said}" + (f"; {given}" if given else "")


_ENDS = {
    "CANCELLED": (JobState.CANCELLED, "Cancelled", "was cancelled, and not by this launcher"),
    "PREEMPTED": (JobState.PREEMPTED, "Preempted", "was preempted, and not requeued"),
    "NODE_FAIL": (JobState.LOST, "NodeFailed", "has lost its node"),
    "BOOT_FAIL": (JobState.LOST, "NodeFailed", "has lost its node, which did not boot"),
}
"""What has become of jobs, by Slurm's word for their task."""

_MEANT = {
    "partition": ("partition", "account"),
    "account": ("account", "partition"),
    "qos": ("qos",),
    "feature": ("constraint",),
    "gres": ("gpus",),
    "generic resource": ("gpus",),
    "node configuration": ("gpus", "cpus_per_task", "cpus_per_job", "mem", "nodes", "constraint"),
    "cpu count": ("cpus_per_task", "cpus_per_job", "n_jobs"),
    "memory": ("mem",),
    "time": ("time_in_mins",),
    "node count": ("nodes",),
    "array": ("array_parallelism",),
}
"""Which settings Slurm may mean by a word of its messages."""


def _comment(sweep: Sweep) -> str:
    return f"launchkit {sweep.tag} "


def _find_taken(sweep: Sweep, array: Array) -> str | None:
    for taken, comment in slurm.find(name_of(sweep), _comment(sweep)):
        if comment == f"{_comment(sweep)}{array.first}":
            return taken
    return None


def _end_left(sweep: Sweep) -> None:
    """End a sweep's tasks, and return once Slurm has no more of them."""
    record = sweep.own / RECORD
    # A copy of the sweep has the file, and another tag.
    lines = [line for line in files.read_json_lines(record) if line["tag"] == sweep.tag]
    if not lines:
        return
    slurm.check()
    firsts = {line["array"]: line["first"] for line in lines if line["array"]}
    for taken, comment in slurm.find(name_of(sweep), _comment(sweep)):
        firsts[taken] = int(comment.removeprefix(_comment(sweep)))
    slurm.cancel(list(firsts), waiting_only=True)
    asked: list[int] = []
    for task in _alive(firsts):
        assert task.index is not None
        pack = packs.find(sweep, firsts[task.array] + task.index)
        # A host that Slurm ends would say that its jobs were preempted.
        asks.ask(sweep, pack.num, Ask(pack.jobs, state=JobState.LOST, error=GONE, end=True))
        asked += pack.jobs
    _wait_until_gone(firsts, GENTLE_S)
    slurm.cancel(list(firsts))
    if left := _wait_until_gone(firsts, END_S):
        raise SlurmError(f"they do not end: {', '.join(slurm.names(left))}")
    _let_wait(sweep, asked)
    record.unlink(missing_ok=True)


def _let_wait(sweep: Sweep, nums: Collection[int]) -> None:
    """Make the jobs pending that have not started in the pack that they were in."""
    for job in sweep.jobs:
        attempt = read(job.directory) if job.num in nums else Attempt()
        if attempt.state is JobState.LOST and attempt.started is None:
            change(job, JobState.PENDING, ended=None, exit_code=None, error=None)


def _alive(firsts: dict[str, int]) -> list[Seen]:
    return [task for task in slurm.tasks(firsts) if not task.gone and task.index is not None]


def _wait_until_gone(firsts: dict[str, int], seconds: float) -> list[tuple[str, int]]:
    """Wait so long for tasks to end, and return those that have not."""
    deadline, pause = time.monotonic() + seconds, 0.1
    while (left := _alive(firsts)) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)
    return [(task.array, task.index) for task in left if task.index is not None]
