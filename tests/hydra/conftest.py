from __future__ import annotations

from pathlib import Path

import pytest
from apps import LAUNCHERS, App


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


@pytest.fixture(params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)
