"""Two learners for the cartpole example: the cross-entropy method and REINFORCE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
from policies import Array, Policy

Envs = Sequence[gymnasium.Env[Any, Any]]


@dataclass(frozen=True)
class Episode:
    """What one episode saw, did and earned, a row a step."""

    observations: Array
    actions: Array
    rewards: Array


def run_episodes(
    envs: Envs,
    starts: Sequence[int],
    policy: Policy,
    params: Array,
    rng: np.random.Generator | None = None,
) -> list[Episode]:
    """Run an episode in each environment, side by side.

    Parameters
    ----------
    starts
        A seed for each environment: those with the same one start in the same state.
    params
        One vector of parameters for all, or a row for each environment.
    rng
        Samples the actions; without it the policy takes its best ones.
    """
    begun = [env.reset(seed=int(start))[0] for env, start in zip(envs, starts, strict=True)]
    observations = np.array(begun, dtype=np.float64)
    alive = np.arange(len(envs))
    trace: list[tuple[Array, Array, list[float], Any]] = []
    while len(alive):
        seen = observations[alive]
        actions = policy.act(params if params.ndim == 1 else params[alive], seen, rng)
        rewards, going = [], []
        for index, command in zip(alive.tolist(), policy.to_env(actions), strict=True):
            observations[index], reward, terminated, truncated, _ = envs[index].step(command)
            rewards.append(float(reward))
            going.append(not (terminated or truncated))
        trace.append((seen, actions, rewards, alive))
        alive = alive[going]
    columns = [np.concatenate(column) for column in zip(*trace, strict=True)]
    owners = columns.pop()
    return [Episode(*(column[owners == one] for column in columns)) for one in range(len(envs))]


class Learner(Protocol):
    """What the training loop needs of an algorithm."""

    params: Array

    def update(self, envs: Envs) -> int:
        """Run an episode in each environment, learn from them, and return the steps taken."""


class CrossEntropyMethod:
    """Move a Gaussian over parameters towards the best of its samples.

    Parameters
    ----------
    policy
        Whose parameters are sought.
    lr
        How far mean and spread move towards those of the best samples, from 0 to 1.
    elite
        The share of the samples that counts as the best.
    spread
        The standard deviation to start from.
    noise
        A share of `spread` that is added to what the best samples show, so that the
        search does not narrow down too early.
    noise_updates
        After so many updates that share has sunk to zero, in a straight line.
    """

    def __init__(
        self,
        policy: Policy,
        rng: np.random.Generator,
        *,
        lr: float,
        elite: float,
        spread: float,
        noise: float,
        noise_updates: int,
    ) -> None:
        self.policy, self.rng = policy, rng
        self.lr, self.elite = lr, elite
        self.noise, self.noise_updates, self.updates = noise * spread, noise_updates, 0
        self.params = np.zeros(policy.size)
        self.std = np.full(policy.size, spread)

    def update(self, envs: Envs) -> int:
        """Try a sample in each environment, learn from the best, and return the steps taken."""
        samples = self.params + self.std * self.rng.normal(size=(len(envs), self.policy.size))
        # One start for all: what sets the samples apart is then their parameters, not their luck.
        starts = [int(self.rng.integers(2**31))] * len(envs)
        episodes = run_episodes(envs, starts, self.policy, samples)
        returns = np.array([episode.rewards.sum() for episode in episodes])
        count = max(2, round(self.elite * len(envs)))
        best = samples[np.argsort(-returns, kind="stable")[:count]]
        noise = self.noise * max(0.0, 1.0 - self.updates / self.noise_updates)
        self.params = self.params + self.lr * (best.mean(axis=0) - self.params)
        self.std = self.std + self.lr * (np.sqrt(best.var(axis=0) + noise**2) - self.std)
        self.updates += 1
        return sum(len(episode.rewards) for episode in episodes)


class Reinforce:
    """Make actions likelier that earned more than a baseline expected.

    Parameters
    ----------
    policy
        Whose parameters are learned.
    lr
        Adam's step size.
    discount
        What a reward is worth one step earlier.
    """

    def __init__(
        self, policy: Policy, rng: np.random.Generator, *, lr: float, discount: float
    ) -> None:
        self.policy, self.rng = policy, rng
        self.discount = discount
        self.params = policy.initial(rng)
        self.ascent = Adam(lr, policy.size)
        self.baseline: Array | None = None

    def update(self, envs: Envs) -> int:
        """Run an episode in each environment, learn from them, and return the steps taken."""
        starts = self.rng.integers(2**31, size=len(envs)).tolist()
        episodes = run_episodes(envs, starts, self.policy, self.params, self.rng)
        observations = np.concatenate([episode.observations for episode in episodes])
        actions = np.concatenate([episode.actions for episode in episodes])
        returns = np.concatenate([discounted(e.rewards, self.discount) for e in episodes])
        features = np.concatenate([self._features(episode) for episode in episodes])
        # The baseline knows earlier episodes only: fitted to these, it would hide their luck.
        expected = 0.0 if self.baseline is None else features @ self.baseline
        advantages = returns - expected
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        self.baseline = np.linalg.lstsq(features, returns, rcond=None)[0]
        gradient = self.policy.gradient(self.params, observations, actions, advantages)
        self.params = self.params + self.ascent.step(gradient)
        return len(returns)

    def _features(self, episode: Episode) -> Array:
        x = episode.observations / self.policy.scale
        t = np.arange(len(x))[:, None] / 100.0
        return np.concatenate([np.ones_like(t), t, t**2, x, x**2, x[:, :1] * x[:, 1:]], axis=1)


class Adam:
    """Steps of about `lr` for each parameter, whatever the size of its gradient."""

    def __init__(self, lr: float, size: int, decay: tuple[float, float] = (0.9, 0.999)) -> None:
        self.lr, self.decay = lr, decay
        self.count = 0
        self.mean, self.square = np.zeros(size), np.zeros(size)

    def step(self, gradient: Array) -> Array:
        """Return what to add to the parameters to follow the gradient upwards."""
        a, b = self.decay
        self.count += 1
        self.mean = a * self.mean + (1 - a) * gradient
        self.square = b * self.square + (1 - b) * gradient**2
        mean, square = self.mean / (1 - a**self.count), self.square / (1 - b**self.count)
        return np.asarray(self.lr * mean / (np.sqrt(square) + 1e-8))


def discounted(rewards: Array, discount: float) -> Array:
    """Return, for each step, the rewards from there on, later ones worth less."""
    total, sums = 0.0, np.empty(len(rewards))
    for step in range(len(rewards) - 1, -1, -1):
        total = rewards[step] + discount * total
        sums[step] = total
    return sums
