"""The five numbers that `Logger.record_tabular_misc_stat` records, without numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from launchkit.logging.cells import cell


def misc_stats(values: Any) -> dict[str, float]:
    """Return Average, Std (of the population), Median, Min and Max of all the numbers.

    `values` is any nesting of iterables, arrays and tensors. As in numpy, one value that
    is not a number makes all five ``nan``; so does having no values.
    """
    numbers = sorted(_numbers(values))
    if not numbers or any(map(math.isnan, numbers)):
        return dict.fromkeys(("Average", "Std", "Median", "Min", "Max"), math.nan)
    mean = _mean(numbers)
    middle = len(numbers) // 2
    median = numbers[middle] if len(numbers) % 2 else _mean(numbers[middle - 1 : middle + 1])
    return {
        "Average": mean,
        "Std": math.sqrt(_mean([(number - mean) * (number - mean) for number in numbers])),
        "Median": median,
        "Min": numbers[0],
        "Max": numbers[-1],
    }


def _numbers(values: Any) -> Iterator[float]:
    if callable(getattr(values, "tolist", None)):
        values = values.tolist()
    if isinstance(values, Iterable) and not isinstance(values, (str, bytes)):
        for value in values:
            yield from _numbers(value)
    else:
        yield _float(values)


def _float(value: Any) -> float:
    try:
        return float(cell(value))
    except ValueError:
        return math.nan


def _mean(numbers: list[float]) -> float:
    try:
        return math.fsum(numbers) / len(numbers)
    except (OverflowError, ValueError):  # infinities, or a sum beyond the largest float
        return sum(number / len(numbers) for number in numbers)
