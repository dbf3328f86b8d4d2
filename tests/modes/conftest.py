"""What the tests of the modes share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "engine"))

from mode_tasks import BAD_JOBS, Act


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
