"""A learner on a small control task, as a Hydra program: what a sweep is made for.

::

    python examples/cartpole.py
    python examples/cartpole.py -m algorithm=cem,reinforce env=cartpole,pendulum \
        'seed=range(3)' algorithm.lr=0.01,0.1
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import hydra
import numpy as np
from algorithms import CrossEntropyMethod, Learner, Reinforce, run_episodes
from omegaconf import DictConfig, OmegaConf
from policies import Policy, policy_for

from launchkit import logger

ALGORITHMS: dict[str, Any] = {"cem": CrossEntropyMethod, "reinforce": Reinforce}


def make_learner(cfg: DictConfig, env: gymnasium.Env[Any, Any]) -> tuple[Policy, Learner]:
    """Return the policy and the algorithm that the config names."""
    settings: Any = OmegaConf.to_container(cfg.algorithm, resolve=True)
    algorithm = ALGORITHMS[settings.pop("name")]
    policy = policy_for(env, list(cfg.env.scale), settings.pop("hidden"))
    return policy, algorithm(policy, np.random.default_rng(cfg.seed), **settings)


@hydra.main(version_base=None, config_path="../conf", config_name="cartpole")
def main(cfg: DictConfig) -> float:
    """Learn, with a row of metrics an epoch, and return the last average return."""
    began = time.perf_counter()
    envs = [gymnasium.make(cfg.env.id) for _ in range(cfg.episodes_per_update)]
    judges = [gymnasium.make(cfg.env.id) for _ in range(cfg.evaluation_episodes)]
    policy, learner = make_learner(cfg, envs[0])
    average, best, steps = float("nan"), float("-inf"), 0
    for epoch in range(cfg.epochs):
        steps += sum(learner.update(envs) for _ in range(cfg.updates_per_epoch))
        # Always the same starts, whatever the seed: epochs and runs are compared on one exam.
        exam = run_episodes(judges, range(len(judges)), policy, learner.params)
        returns = np.array([episode.rewards.sum() for episode in exam])
        average = float(returns.mean())
        best = max(best, average)
        logger.record_dict(
            {
                "epoch": epoch,
                "AverageReturn": average,
                "StdReturn": float(returns.std()),
                "BestReturn": best,
                "EnvSteps": steps,
                "time": time.perf_counter() - began,
            }
        )
        logger.dump_tabular()
        logger.save_itr_params(epoch, {"env": cfg.env.id, "params": learner.params})
    return average


if __name__ == "__main__":
    main()
