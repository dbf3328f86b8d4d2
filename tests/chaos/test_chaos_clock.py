"""A clock that jumps to and fro by days, in every process of the sweep: nothing goes by it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from chaos_round import METHODS, Round

CLOCK = Path(__file__).parent / "clock"
MOST_KILLS = 3
HOUR_S = 3600.0


@pytest.mark.parametrize("fault", ["launcher", "supervisor", "worker"])
def test_a_sweep_whose_clock_jumps(tmp_path, fault):
    method = METHODS[fault == "worker"]
    seed = f"clock.{fault}"
    played = Round(tmp_path / "round", fault, method, "engine", seed, MOST_KILLS, str(CLOCK))
    assert played.play().lost == [], f"seed {seed}"
    states = [json.loads(path.read_text()) for path in tmp_path.rglob("state.json")]
    off = any(abs(state["started"] - time.time()) > HOUR_S for state in states)
    assert off, "the clock was right all the time"
