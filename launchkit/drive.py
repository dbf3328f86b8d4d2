"""Brings the jobs of a sweep to their end, whatever becomes of each."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from dataclasses import replace

from launchkit import requests
from launchkit.display.progress import Progress
from launchkit.driver import Claim
from launchkit.interrupts import Interrupts, felt
from launchkit.job import Attempt, Job, JobError, JobState, end, renew
from launchkit.modes.base import Mode, Plan, Stop, unwritable
from launchkit.policy import GRACE_S, Policy

POLL_S = 1.0


class Drive:
    """Drives the jobs of a plan.

    Parameters
    ----------
    plan
        The plan.
    ended
        The jobs of it that need not run, and how they ended.
    mode
        Where the others run.
    policy
        What is done about those that end badly.
    progress
        What a person sees meanwhile.
    claim
        The right to drive the sweep.
    interrupts
        The signals that stop it.
    """

    def __init__(
        self,
        plan: Plan,
        ended: dict[int, Attempt],
        mode: Mode,
        policy: Policy,
        progress: Progress,
        claim: Claim,
        interrupts: Interrupts,
    ) -> None:
        self._attempts = dict(ended)
        self._plan = replace(plan, jobs=tuple(job for job in plan.jobs if job.num not in ended))
        self._mode = mode
        self._policy = policy
        self._progress = progress
        self._claim = claim
        self._interrupts = interrupts
        self._waiting = {job.num: job for job in self._plan.jobs}
        self._made = dict.fromkeys(self._waiting, 0)
        self._failures = 0
        self._since: dict[int, float] = {}
        self._retries: list[tuple[float, int]] = []
        self._stopping = False
        self._next_look = self._polled = 0.0
        self.interrupted = False
        """Whether a signal or a request has stopped it."""

    def run(self) -> dict[int, Attempt]:
        """Run the jobs, and return how each of the plan ended."""
        turns = self._mode.in_this_process
        self._progress.start(self._plan, turns=turns, earlier=self._attempts)
        try:
            self._mode.submit(self._plan)
            self._turn_until_ended()
        except BaseException:
            # Whatever it is, no job may run on with nobody to look after it.
            self._abandon()
            raise
        self._progress.finish()
        return self._attempts

    def _turn_until_ended(self) -> None:
        while self._waiting:
            try:
                self._turn()
            except KeyboardInterrupt:
                self._interrupt()

    def _turn(self) -> None:
        self._polled = time.monotonic()
        if len(self._retries) == len(self._waiting):
            with felt():
                time.sleep(self._patience())
        else:
            for num, attempt in self._mode.poll(self._patience()).items():
                self._ended(num, attempt)
        self._retry()
        self._limit()
        self._look_around()
        self._progress.show(self._mode.running())

    def _patience(self) -> float:
        """Return the seconds until something but the end of a job is to be done."""
        now = time.monotonic()
        due = [self._retries[0][0]] if self._retries else []
        due += [since + limit for _, since, limit in self._limited()]
        return max(0.0, min([POLL_S, *(moment - now for moment in due)]))

    def _ended(self, num: int, attempt: Attempt) -> None:
        self._since.pop(num, None)
        self._made[num] += 1
        job = self._waiting[num]
        if not self._stopping and self._policy.retries(attempt, self._made[num]):
            delay = self._policy.delay(self._made[num])
            heapq.heappush(self._retries, (time.monotonic() + delay, num))
            most = attempt.attempt + self._policy.max_retries + 1 - self._made[num]
            self._progress.retrying(job, attempt, delay, most)
            self._attempts[num] = attempt
            return
        self._finally(num, attempt)
        # A job that was ended on request has not failed.
        failed = attempt.state.bad and attempt.state is not JobState.CANCELLED
        if failed and not self._stopping:
            self._failures += 1
            if self._policy.gives_up(self._failures):
                self._give_up()

    def _finally(self, num: int, attempt: Attempt) -> None:
        self._attempts[num] = attempt
        self._progress.ended(self._waiting.pop(num), attempt)

    def _retry(self) -> None:
        """Submit the jobs whose delay is over."""
        while self._retries and self._retries[0][0] <= time.monotonic():
            _, num = heapq.heappop(self._retries)
            job = self._waiting[num]
            try:
                renew(job)
            except OSError as problem:
                self._finally(num, unwritable(job, problem))
                continue
            self._mode.submit(replace(self._plan, jobs=(job,)))

    def _limit(self) -> None:
        """End the jobs that have run for too long."""
        for num in self._mode.running():
            # It was started as the poll began.
            self._since.setdefault(num, self._polled)
        for job, since, limit in self._limited():
            if time.monotonic() >= since + limit:
                # Not again: from now on it is the mode's affair to see it end.
                self._since[job.num] = float("inf")
                text = f"it ran for more than {limit / 60:g} min"
                stop = Stop(JobState.TIMEOUT, JobError("TimeLimit", text))
                self._mode.cancel([job.num], GRACE_S, stop)

    def _limited(self) -> list[tuple[Job, float, float]]:
        """Return the running jobs that have a time limit, since when they run, and the limit."""
        found = []
        for num, since in self._since.items():
            limit = self._policy.limit_s(self._waiting[num])
            if limit is not None:
                found.append((self._waiting[num], since, limit))
        return found

    def _look_around(self) -> None:
        """Give a sign of life and see what others want, once in a while."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + POLL_S
        self._claim.beat()
        for nums in requests.take(self._plan.sweep):
            if nums is None:
                self._progress.say(f"asked to stop; {len(self._waiting)} jobs have not ended")
                self.interrupted = True
                self._stop(GRACE_S, Stop())
            else:
                self._cancel([num for num in nums if num in self._waiting])

    def _interrupt(self) -> None:
        """Stop what is left of the sweep; a second signal stops it at once."""
        first = not self.interrupted
        self.interrupted = True
        if first:
            self._progress.say(
                f"stopping; {len(self._waiting)} jobs have not ended (Ctrl-C again: at once)"
            )
        self._stop(GRACE_S if first else 0.0, Stop())

    def _give_up(self) -> None:
        failed = f"{self._failures} job{'s' * (self._failures != 1)} failed"
        self._progress.say(f"stopping: {failed}, and no more may")
        self._stop(GRACE_S, Stop(JobState.CANCELLED, JobError("GaveUp", failed)))

    def _stop(self, grace: float, stop: Stop) -> None:
        self._stopping = True
        for _, num in self._retries:
            self._finally(num, self._attempts[num])
        self._retries = []
        self._mode.cancel(list(self._waiting), grace, stop)

    def _cancel(self, nums: Iterable[int]) -> None:
        """End some of the jobs."""
        delayed = {num for _, num in self._retries}.intersection(nums)
        self._retries = [entry for entry in self._retries if entry[1] not in delayed]
        heapq.heapify(self._retries)
        for num in delayed:
            self._finally(num, end(self._waiting[num], JobState.CANCELLED))
        self._mode.cancel([num for num in nums if num in self._waiting], GRACE_S, Stop())

    def _abandon(self) -> None:
        """End every job at once, and see it ended."""
        self._mode.cancel(list(self._waiting), 0.0, Stop())
        deadline = time.monotonic() + GRACE_S
        left = set(self._waiting)
        while left and time.monotonic() < deadline:
            left -= self._mode.poll(POLL_S).keys()
