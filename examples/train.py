"""The README's experiment as a Hydra program: descend a valley with noisy gradients.

::

    python examples/train.py
    python examples/train.py -m hyperparam1=something,other hyperparam2=1,2,3
"""

from __future__ import annotations

import math
import random

import hydra
from omegaconf import DictConfig

from launchkit import logger

EPOCHS = 20
STEPS_PER_EPOCH = 25
CURVATURES = (0.1, 1.0, 10.0)  # a long valley: some directions are 100 times steeper
MOMENTA = {"something": 0.0, "other": 0.9}


def loss_at(point: list[float]) -> float:
    """Return the height of the valley's floor at `point`; the lowest is 0."""
    return sum(c * x * x for c, x in zip(CURVATURES, point, strict=True)) / 2


def noisy_gradient(point: list[float], rng: random.Random) -> list[float]:
    """Return the slope at `point`, measured as badly as a small batch would."""
    return [c * x + rng.gauss(0.0, 1.0) for c, x in zip(CURVATURES, point, strict=True)]


@hydra.main(version_base=None, config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> float:
    """Run one experiment, with a row of metrics an epoch, and return its last loss.

    `hyperparam1` is the step rule: `something` follows the gradient, `other` keeps momentum.
    `hyperparam2` is the step size in hundredths, which shrinks from epoch to epoch unless
    `hyperparam_fixed` is true.
    """
    if cfg.hyperparam1 not in MOMENTA:
        raise ValueError(f"hyperparam1={cfg.hyperparam1!r}: one of {', '.join(MOMENTA)}")
    rng = random.Random(cfg.seed)
    momentum = MOMENTA[cfg.hyperparam1]
    point = [5.0 for _ in CURVATURES]
    speed = [0.0 for _ in CURVATURES]
    for epoch in range(EPOCHS):
        step = 0.01 * cfg.hyperparam2
        if not cfg.hyperparam_fixed:
            step /= math.sqrt(1 + epoch)
        for _ in range(STEPS_PER_EPOCH):
            gradient = noisy_gradient(point, rng)
            speed = [momentum * v - step * g for v, g in zip(speed, gradient, strict=True)]
            point = [x + v for x, v in zip(point, speed, strict=True)]
        logger.record_dict({"epoch": epoch, "loss": loss_at(point), "step": step})
        logger.dump_tabular()
        logger.save_itr_params(epoch, point)
    return loss_at(point)


if __name__ == "__main__":
    main()
