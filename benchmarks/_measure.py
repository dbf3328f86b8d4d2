"""What the benchmark programs share: two sides, alternating, in one run.

Each program measures what launchkit does and what it is compared with, in turns, so that
whatever else the machine does meets both. The ratio of the medians is what counts; the
raw numbers go to ``benchmarks/results/``.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PACKAGES = (
    "hydra-core",
    "omegaconf",
    "hydra-joblib-launcher",
    "joblib",
    "hydra-submitit-launcher",
    "submitit",
    "pandas",
    "numpy",
)
RESULTS = Path(__file__).parent / "results"


@dataclass
class Comparison:
    """The measurements of one line of the table.

    Attributes
    ----------
    name
        What was measured.
    ours, theirs
        A number for every round, in `unit`.
    required
        The ratio of medians, theirs to ours, that the line must reach.
    unit
        Of the numbers; smaller is better.
    """

    name: str
    ours: list[float]
    theirs: list[float]
    required: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """How many times better ours is: the median of theirs over the median of ours."""
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def reached(self) -> bool:
        """Whether the ratio is what is required."""
        return self.ratio >= self.required

    def __str__(self) -> str:
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return (
            f"{self.name}: ours {ours:.4g} {self.unit}, theirs {theirs:.4g} {self.unit}, "
            f"ratio {self.ratio:.2f} (at least {self.required:.2f})"
        )


@dataclass
class Limit:
    """The measurements of a line that has a bound of its own, and nothing beside it.

    Attributes
    ----------
    name
        What was measured.
    ours
        A number for every round, in `unit`.
    limit
        What their median may be at most, in `unit`.
    unit
        Of the numbers.
    """

    name: str
    ours: list[float]
    limit: float
    unit: str = "s"

    @property
    def reached(self) -> bool:
        """Whether the median is within the limit."""
        return statistics.median(self.ours) <= self.limit

    def __str__(self) -> str:
        median = statistics.median(self.ours)
        return f"{self.name}: {median:.4g} {self.unit} (at most {self.limit:.4g} {self.unit})"


Line = Comparison | Limit


def compare(
    name: str,
    ours: Callable[[], float | None],
    theirs: Callable[[], float | None],
    *,
    required: float,
    rounds: int = 9,
    unit: str = "s",
) -> Comparison:
    """Measure two callables in turns, after a round that does not count.

    A callable returns its own measurement, in `unit`; one that returns None is timed
    from call to return, in seconds.
    """
    measured: dict[str, list[float]] = {"ours": [], "theirs": []}
    sides = [("ours", ours), ("theirs", theirs)]
    for number in range(rounds + 1):
        # Who goes first changes from round to round.
        for side, function in sides if number % 2 else reversed(sides):
            value = _measure(function)
            if number:
                measured[side].append(value)
    return Comparison(name, measured["ours"], measured["theirs"], required, unit)


def machine() -> dict[str, Any]:
    """Describe what the numbers were measured on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": os.getloadavg()[0],
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what is measured, as far as it is installed."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def report(program: str, lines: Sequence[Line], *, judged: bool = True, **more: Any) -> int:
    """Print every line, keep the raw numbers, and return the exit code: 1 if one is short.

    Parameters
    ----------
    program
        The name of the file in ``benchmarks/results/``.
    lines
        What was measured.
    judged
        Whether what is required applies to a run of this size. If not, nothing is kept.
    more
        What else belongs in the file, as JSON takes it.
    """
    described = machine()
    print(", ".join(f"{key} {value}" for key, value in described.items() if key != "versions"))
    for line in lines:
        verdict = ("PASS" if line.reached else "SHORT") if judged else "(too small to be judged)"
        print(f"{line} {verdict}")
    if not judged:
        return 0
    save(
        program,
        {
            "machine": described,
            "time": time.time(),
            "comparisons": [_raw(line) for line in lines],
            **more,
        },
    )
    return 0 if all(line.reached for line in lines) else 1


def save(program: str, raw: dict[str, Any]) -> Path:
    """Keep raw numbers as JSON, a file a program and Python version."""
    RESULTS.mkdir(exist_ok=True)
    path = result_path(program)
    path.write_text(json.dumps(raw, indent=1) + "\n")
    return path


def result_path(program: str) -> Path:
    """Return where a program's raw numbers are kept, measured with this Python."""
    major_minor = ".".join(platform.python_version_tuple()[:2])
    return RESULTS / f"{program}-{major_minor}.json"


def _raw(line: Line) -> dict[str, Any]:
    ratio = {"ratio": line.ratio} if isinstance(line, Comparison) else {}
    return {**asdict(line), **ratio, "reached": line.reached}


def _measure(function: Callable[[], float | None]) -> float:
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start if value is None else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
