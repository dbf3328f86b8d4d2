"""When the sweeper of a multirun sees the failures of its jobs."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobStatus

from hydra_plugins.launchkit_launcher._returns import LaunchkitJobReturn
from launchkit.policy import Policy


class Failures:
    """The failures of a multirun, batch after batch.

    Hydra's basic sweeper stops at the first failure it sees, which would cost the jobs of
    all later batches: it sees the failures of the earlier ones after the last.

    Parameters
    ----------
    policy
        What is done about jobs that end badly.
    size
        How many jobs the basic sweeper is going to launch; None for another sweeper, which
        sees each failure at once.
    """

    def __init__(self, policy: Policy, size: int | None) -> None:
        self._policy = policy
        self._size = size
        self._count = 0
        self._held_back: list[LaunchkitJobReturn] = []

    @property
    def policy(self) -> Policy:
        """The policy for the next batch: what has failed in the others counts."""
        return self._policy.after(self._count)

    def passed_on(
        self, returns: Sequence[LaunchkitJobReturn], jobs_so_far: int
    ) -> Sequence[LaunchkitJobReturn]:
        """Give a batch's results to the sweeper.

        Raises
        ------
        JobFailed
            If no more jobs may fail, whatever the sweeper would do. With Hydra 1.4 it is the
            job's own exception, where that can be had.
        """
        failed = [done for done in returns if done.has_failed]
        self._count += len(failed)
        if failed and self._policy.gives_up(self._count):
            _ = failed[0].return_value
        bad = [done for done in returns if done.status is JobStatus.FAILED]
        if self._size is None or not (bad or self._held_back):
            return returns
        if jobs_so_far < self._size:
            for done in bad:
                done.hold_back()
            self._held_back += bad
        elif not bad:
            self._held_back[0].hold_back(False)
            return [*returns, self._held_back[0]]
        return returns
