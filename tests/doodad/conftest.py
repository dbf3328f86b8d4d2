"""What the tests of doodad's room share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from doodad_trees import Machine

from launchkit.doodad import engine

# What the testbed has started is told by its own module.
sys.path.append(str(Path(__file__).parents[1] / "testbed"))


@pytest.fixture(autouse=True)
def _with_doodad(request: pytest.FixtureRequest) -> None:
    """Skip what needs doodad where there is none."""
    if request.node.get_closest_marker("doodad"):
        _skip_without_doodad()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The doodad of this machine, seen before a test hides it; such tests carry its marker."""
    _skip_without_doodad()
    found = engine.find()
    assert found is not None
    return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A user who has no doodad of any kind."""
    return Machine(tmp_path, monkeypatch)


def _skip_without_doodad() -> None:
    missing = engine.lacking()
    if missing:
        pytest.skip(f"lacking: {', '.join(missing)}")
