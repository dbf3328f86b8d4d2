"""Whatever is killed with -9, and whenever: each job completes once, and nothing is left.

`play.py` plays the same for as long as one likes.
"""

from __future__ import annotations

import pytest
from chaos_round import FAULTS, METHODS, Round

ROUNDS = 1
MOST_KILLS = 3
DOORS = {"fork": ("engine", "hydra"), "spawn": ("hydra", "engine")}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_sweep_in_which_anything_may_be_killed(tmp_path, fault, method):
    door = DOORS[method][FAULTS.index(fault) % 2]
    for number in range(ROUNDS):
        seed = f"{fault}.{method}.{number}"
        report = Round(tmp_path / str(number), fault, method, door, seed, MOST_KILLS).play()
        print(f"seed {seed}, {door}: {dict(report.kills)} killed, {report.launches} launches")
        assert report.lost == [], f"seed {seed}"
        assert report.looks, "nobody has looked"
