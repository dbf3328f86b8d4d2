"""Grids of hyperparameters, as rlkit spells them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any


class DeterministicHyperparameterSweeper:
    """Every combination of the given values.

    Parameters
    ----------
    hyperparameters
        A list of values for each name. A name may be dotted: ``"optimizer.lr"`` sets
        ``lr`` in the dictionary ``optimizer``.
    default_parameters
        What all combinations share; a hyperparameter takes precedence.

    Raises
    ------
    ValueError
        If a hyperparameter has no list of values, or an empty one.

    Examples
    --------
    >>> sweeper = DeterministicHyperparameterSweeper({"lr": [0.1, 0.2]}, {"seed": 0})
    >>> sweeper.iterate_hyperparameters()
    [{'seed': 0, 'lr': 0.1}, {'seed': 0, 'lr': 0.2}]
    """

    def __init__(
        self,
        hyperparameters: Mapping[str, Sequence[Any]],
        default_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        for name, values in hyperparameters.items():
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise ValueError(
                    f"hyperparameter {name!r} is {values!r}; give a list of the values to try"
                )
            if not values:
                raise ValueError(
                    f"hyperparameter {name!r} is an empty list, which makes no job at all; "
                    "give it at least one value, or [[]] for an empty list as the value"
                )
        self._hyperparameters = hyperparameters
        self._default_parameters = default_parameters or {}

    def iterate_hyperparameters(self) -> list[dict[str, Any]]:
        """Return the combinations, the last name varying fastest; they share no value."""
        names = list(self._hyperparameters)
        combinations = itertools.product(*self._hyperparameters.values())
        return [self._combine(names, values) for values in combinations]

    def _combine(self, names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
        variant = copy.deepcopy(dict(self._default_parameters))
        for name, value in zip(names, values, strict=True):
            *parents, leaf = name.split(".")
            target = variant
            for parent in parents:
                inner = target.get(parent)
                target[parent] = inner if isinstance(inner, dict) else {}
                target = target[parent]
            target[leaf] = copy.deepcopy(value)
        return variant


def grid_of(variant: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the variants that a variant with lists at its top level stands for.

    Each top-level list is swept, all else is fixed. A list as a value is written as a list
    inside the list, ``[[256, 256]]``; lists inside nested dictionaries are values.
    """
    swept = {name: values for name, values in variant.items() if isinstance(values, list)}
    fixed = {name: value for name, value in variant.items() if name not in swept}
    return DeterministicHyperparameterSweeper(swept, fixed).iterate_hyperparameters()
