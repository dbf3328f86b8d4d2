"""The grid of the README, without Hydra: `run_experiment` sweeps over the lists of a dict.

::

    python examples/grid.py

Each experiment looks for the lowest point of a bumpy curve by simulated annealing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from launchkit import logger
from launchkit.launcher_util import run_experiment

EPOCHS = 20
STEPS_PER_EPOCH = 25
DRAWS: dict[str, Callable[[random.Random, float], float]] = {
    "something": lambda rng, width: rng.gauss(0.0, width),
    "something else": lambda rng, width: rng.uniform(-width, width),
}


def height(x: float) -> float:
    """Return the curve at `x`: a bowl with bumps, lowest at 0."""
    return 0.1 * x * x + 1.0 - math.cos(3.0 * x)


def experiment_function(variant: dict[str, Any]) -> None:
    """Anneal from a far point.

    `hyperparam1` is how a step is drawn: `something` from a bell, `something else` evenly.
    `hyperparam2` is its width; `hyperparam_fixed` keeps the
    temperature as it is.
    """
    rng = random.Random(variant["seed"])
    draw, width = DRAWS[variant["hyperparam1"]], variant["hyperparam2"]
    x = best = 8.0
    for epoch in range(EPOCHS):
        temperature = 1.0 if variant["hyperparam_fixed"] else 0.8**epoch
        for _ in range(STEPS_PER_EPOCH):
            new = x + draw(rng, width)
            # A step up is taken now and then, the seldomer the colder it is.
            if rng.random() < math.exp(min(0.0, (height(x) - height(new)) / temperature)):
                x = new
            best = min(best, x, key=height)
        logger.record_dict({"epoch": epoch, "loss": height(x), "best_loss": height(best)})
        logger.dump_tabular()
        logger.save_itr_params(epoch, {"x": x, "best": best})


if __name__ == "__main__":
    run_experiment(
        experiment_function,
        variant=dict(  # noqa: C408 - as the README writes it
            hyperparam1=["something", "something else"],
            hyperparam2=[1, 2, 3],
            hyperparam_fixed=False,
        ),
        exp_prefix="test",
        mode="local",
        snapshot_mode="gap_and_last",
        snapshot_gap=3,
    )
