"""Sweepers that need values get them; failures reach them as failures."""

from __future__ import annotations

import pytest
from apps import App

pytest.importorskip(
    "hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-launchkit[test]"
)

OPTUNA = """
defaults:
  - override hydra/sweeper: optuna
x: 0.0
hydra:
  sweeper:
    sampler: {seed: 1}
    direction: minimize
    n_trials: 6
    n_jobs: 2
    params: {x: 'interval(-5.0, 5.0)'}
"""


def test_return_values_reach_optuna_in_several_batches(app: App, launcher: str) -> None:
    app.write("return (cfg.x - 1) ** 2", config=OPTUNA)
    done = app.sweep(launcher=launcher)
    assert done.states == ["completed"] * 6
    best = (done.directory / "optimization_results.yaml").read_text()
    assert f"best_value: {min(done.values)}" in best


def test_optuna_sees_a_failed_trial(app: App, launcher: str) -> None:
    app.write(
        "if HydraConfig.get().job.num == 3: raise RuntimeError('boom')\nreturn cfg.x ** 2",
        config=OPTUNA,
        imports="from hydra.core.hydra_config import HydraConfig",
    )
    done = app.sweep("hydra.sweeper.max_failure_rate=0.6", launcher=launcher)
    assert done.states == ["completed"] * 3 + ["failed"] + ["completed"] * 2
    app.config("config", OPTUNA)
    app.run(
        "-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=strict",
        "hydra.sweeper.max_failure_rate=0.0", code=1,
    )  # fmt: skip
