"""What the tests of the modes share."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "engine"))

from cloud_contract import CloudContract
from mode_tasks import BAD_JOBS, Act

SHORT = re.compile(
    "registry|finds_all|setting_that|plan_is_words|all_jobs_run|later_batch|where_and_when|own_log"
    "|bad_job|exit_without|pickled_is|fails_twice|too_long_ends|fail_fast|interrupted_sweep"
    "|completes_the_snapshot|whole_sweep_is_cancelled|after_a_kill|killed_launcher_left"
    "|outlives_its_launcher|supervisor_is_killed"
)
"""What of the contract is not too long for a mode that rents machines."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long of the contract of the clouds: a machine is bought for each sweep."""
    for item in items:
        rents = issubclass(getattr(item, "cls", None) or object, CloudContract)
        if rents and not SHORT.search(item.name):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="class")
def bad_jobs(request, tmp_path_factory):
    """One sweep of all bad jobs of a mode, a good one before and after each."""
    contract = request.cls()
    names = [name for name in BAD_JOBS if contract.own_process or not BAD_JOBS[name].kills]
    actions = ["good"]
    for name in names:
        actions += [name, "good"]
    directory = tmp_path_factory.mktemp("bad") / "sweep"
    outcomes = contract.run(directory, Act(dict(enumerate(actions))), len(actions))
    return dict(zip(names, outcomes[1::2], strict=True)), outcomes[::2]
