"""Small policies for the cartpole example, with gradients written by hand.

A policy's parameters are one flat vector, so that a learner can perturb them, follow
their gradient or pickle them without knowing what is inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Policy:
    """A network with one hidden layer of tanh units; subclasses say what its outputs mean.

    Parameters
    ----------
    scale
        What observations are divided by, so that they are near 1.
    outputs
        The number of outputs.
    hidden
        The number of hidden units.
    """

    extras = 0

    def __init__(self, scale: Array, outputs: int, hidden: int) -> None:
        self.scale = scale
        self.shapes = ((len(scale) + 1, hidden), (hidden + 1, outputs))
        self.size = sum(math.prod(shape) for shape in self.shapes) + self.extras

    def initial(self, rng: np.random.Generator) -> Array:
        """Return random parameters that treat all actions nearly alike."""
        (fan_in, hidden), (_, outputs) = self.shapes
        first = rng.normal(0.0, 1.0 / math.sqrt(fan_in), size=fan_in * hidden)
        second = rng.normal(0.0, 0.01, size=(hidden + 1) * outputs)
        return np.concatenate([first, second, np.zeros(self.extras)])

    def forward(self, params: Array, observations: Array) -> tuple[Array, Array]:
        """Return the hidden activations and the outputs, a row an observation.

        `params` is one vector for all observations, or a row for each of them.
        """
        first, second = self._layers(params)
        hidden = np.tanh(_affine(observations / self.scale, first))
        return hidden, _affine(hidden, second)

    def backward(self, params: Array, observations: Array, hidden: Array, slope: Array) -> Array:
        """Return the gradient with respect to one vector of parameters, without the extras.

        `slope` is the gradient with respect to the outputs, a row an observation.
        """
        _, second = self._layers(params)
        inner = (slope @ second[:-1].T) * (1.0 - hidden**2)
        layers = ((observations / self.scale, inner), (hidden, slope))
        parts = [part for x, g in layers for part in ((x.T @ g).ravel(), g.sum(axis=0))]
        return np.concatenate(parts)

    def act(self, params: Array, observations: Array, rng: np.random.Generator | None) -> Array:
        """Return an action for each observation: sampled, or the best one without `rng`."""
        raise NotImplementedError

    def log_likelihood(self, params: Array, observations: Array, actions: Array) -> Array:
        """Return the log-probability (or density) of each action, shape (n,)."""
        raise NotImplementedError

    def gradient(self, params: Array, observations: Array, actions: Array, weights: Array) -> Array:
        """Return the gradient of the mean of `weights` times the log-likelihoods."""
        raise NotImplementedError

    def to_env(self, actions: Array) -> Sequence[Any]:
        """Return the actions in the environment's own terms."""
        raise NotImplementedError

    def _layers(self, params: Array) -> list[Array]:
        layers, start = [], 0
        for shape in self.shapes:
            stop = start + math.prod(shape)
            layers.append(params[..., start:stop].reshape(*params.shape[:-1], *shape))
            start = stop
        return layers


class SoftmaxPolicy(Policy):
    """One of several actions, with probabilities that are a softmax of the outputs."""

    def act(self, params: Array, observations: Array, rng: np.random.Generator | None) -> Array:
        """Return the numbers of the actions, shape (n,)."""
        _, logits = self.forward(params, observations)
        if rng is not None:
            # The largest of logits with Gumbel noise is a sample of their softmax.
            logits = logits + rng.gumbel(size=logits.shape)
        return np.asarray(logits.argmax(axis=1), dtype=np.float64)

    def log_likelihood(self, params: Array, observations: Array, actions: Array) -> Array:
        """Return the log-probability of each action, shape (n,)."""
        _, logits = self.forward(params, observations)
        return _pick(_log_softmax(logits), actions)

    def gradient(self, params: Array, observations: Array, actions: Array, weights: Array) -> Array:
        """Return the gradient of the mean of `weights` times the log-likelihoods."""
        hidden, logits = self.forward(params, observations)
        slope = -np.exp(_log_softmax(logits))
        slope[np.arange(len(actions)), actions.astype(int)] += 1.0
        slope *= weights[:, None] / len(weights)
        return self.backward(params, observations, hidden, slope)

    def to_env(self, actions: Array) -> Sequence[Any]:
        """Return the numbers of the actions as ints."""
        return [int(action) for action in actions]


class GaussianPolicy(Policy):
    """A continuous action around the output, with a spread that is learned too.

    Parameters
    ----------
    high
        The environment's largest action; the network's 1 stands for it.
    """

    def __init__(self, scale: Array, high: Array, hidden: int) -> None:
        self.high = high
        self.extras = len(high)
        super().__init__(scale, len(high), hidden)

    def act(self, params: Array, observations: Array, rng: np.random.Generator | None) -> Array:
        """Return the actions, shape (n, dimensions), in units of the largest action."""
        _, mean = self.forward(params, observations)
        if rng is None:
            return mean
        return mean + np.exp(params[..., -self.extras :]) * rng.normal(size=mean.shape)

    def log_likelihood(self, params: Array, observations: Array, actions: Array) -> Array:
        """Return the log-density of each action, shape (n,)."""
        _, mean = self.forward(params, observations)
        log_std = params[-self.extras :]
        z = (actions - mean) / np.exp(log_std)
        density = -0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)
        return np.asarray(density.sum(axis=1))

    def gradient(self, params: Array, observations: Array, actions: Array, weights: Array) -> Array:
        """Return the gradient of the mean of `weights` times the log-likelihoods."""
        hidden, mean = self.forward(params, observations)
        std = np.exp(params[-self.extras :])
        z = (actions - mean) / std
        share = weights[:, None] / len(weights)
        network = self.backward(params, observations, hidden, share * z / std)
        return np.concatenate([network, (share * (z**2 - 1.0)).sum(axis=0)])

    def to_env(self, actions: Array) -> Sequence[Any]:
        """Return the actions scaled and clipped to the environment's range."""
        return list((np.clip(actions, -1.0, 1.0) * self.high).astype(np.float32))


def policy_for(env: gymnasium.Env[Any, Any], scale: list[float], hidden: int) -> Policy:
    """Return a policy that fits the environment's actions.

    Raises
    ------
    TypeError
        If the actions are neither numbered nor a box.
    """
    space = env.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return SoftmaxPolicy(np.array(scale), int(space.n), hidden)
    if isinstance(space, gymnasium.spaces.Box):
        return GaussianPolicy(np.array(scale), np.asarray(space.high, dtype=np.float64), hidden)
    raise TypeError(f"actions of type {type(space).__name__} are not supported: Discrete or Box")


def _affine(x: Array, layer: Array) -> Array:
    """Return x W + b, where the last row of `layer` is b; a layer for all rows or one for each."""
    weights, bias = layer[..., :-1, :], layer[..., -1, :]
    if layer.ndim == 2:
        return np.asarray(x @ weights + bias)
    return np.asarray((x[:, None, :] @ weights)[:, 0] + bias)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _pick(table: Array, columns: Array) -> Array:
    return np.asarray(table[np.arange(len(columns)), columns.astype(int)])
