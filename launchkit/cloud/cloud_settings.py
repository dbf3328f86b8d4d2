"""The settings that the clouds share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from launchkit.outside.settings import Outside
from launchkit.policy import check_whole


@dataclass(frozen=True, kw_only=True)
class CloudSettings(Outside):
    """What is rented, for how long, and for how much at most.

    Parameters
    ----------
    num_exps_per_instance
        How many jobs a machine gets.
    jobs_at_once
        How many of them run there at a time; None for all of them.
    sync_interval
        Seconds between two uploads of what the jobs have written.
    use_gpu
        Whether the jobs use the machines' GPUs.
    confirm
        Whether a person is asked before anything is bought.
    price_per_hour
        What a machine costs an hour, in USD, where you know better than the provider says.
    max_price_per_hour
        The most that all machines together may cost an hour, in USD.
    max_total_price
        The most that the sweep may cost in all, in USD: every machine for as long as it may live.
    max_lifetime_min
        Minutes after which a machine ends, whatever runs on it.
    max_machines
        How many machines there are at a time; None for as many as there are packs.
    capacity_wait_min
        Minutes to wait for machines where the provider has none to give.
    unreachable_min
        Minutes without its bucket after which a machine ends itself.
    start_timeout_min
        Minutes within which a machine has to give a first sign of life.
    keep_bucket
        Whether the sweep stays in the bucket when it has ended.

    Raises
    ------
    ValueError
        If one of them is wrong.
    """

    num_exps_per_instance: int = 1
    jobs_at_once: int | None = None
    sync_interval: float = 15.0
    use_gpu: bool = False
    confirm: bool = True
    price_per_hour: float | None = None
    max_price_per_hour: float | None = None
    max_total_price: float | None = None
    max_lifetime_min: int = 1440
    max_machines: int | None = None
    capacity_wait_min: float = 60.0
    unreachable_min: float = 30.0
    start_timeout_min: float = 15.0
    keep_bucket: bool = True

    BUCKET: ClassVar[str] = ""
    """The setting that names the bucket."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in self.env.items():
            if value is None:
                raise ValueError(
                    f"env.{name} is null, and the launcher's own environment is not on a rented "
                    "machine; fetch a secret there, with setup_commands and the machine's role"
                )
        check_whole("num_exps_per_instance", self.num_exps_per_instance, 1)
        check_whole("jobs_at_once", self.jobs_at_once, 1, optional=True)
        check_whole("max_lifetime_min", self.max_lifetime_min, 1)
        check_whole("max_machines", self.max_machines, 1, optional=True)
        for name in ("sync_interval", "unreachable_min", "start_timeout_min"):
            check_above("0", name, getattr(self, name))
        check_above("-1", "capacity_wait_min", self.capacity_wait_min)
        for name in ("price_per_hour", "max_price_per_hour", "max_total_price"):
            if getattr(self, name) is not None:
                check_above("0", name, getattr(self, name))
        for name in ("use_gpu", "confirm", "keep_bucket"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be true or false")
        if self.inputs:
            raise ValueError(
                "inputs is set, and directories of this machine are not on a rented one; put them "
                "into the image, or fetch them with setup_commands"
            )

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones to look for machines in, in order; none for wherever there are any."""
        zone = getattr(self, "zone", None)
        return () if zone is None else (zone,) if isinstance(zone, str) else tuple(zone)

    def machines_for(self, jobs: int) -> int:
        """Return how many machines so many jobs need."""
        return -(-jobs // self.num_exps_per_instance)

    def pack_places(self) -> dict[str, Any]:
        """Return how jobs share a machine, for a pack."""
        return {"n_jobs": self.jobs_at_once or self.num_exps_per_instance}


def check_above(least: str, name: str, value: Any) -> None:
    """Raise ValueError if a setting is no number above another."""
    number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    if not number or not value > float(least):
        raise ValueError(f"{name} is {value!r}; it must be a number above {least}")


def check_name(name: str, value: Any, pattern: str, example: str, *, optional: bool = True) -> None:
    """Raise ValueError if a setting is no name of the form that the provider gives names."""
    if value is None and optional:
        return
    if value is None or value == "":
        raise ValueError(f"{name} is not set; {example}")
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(f"{name} is {value!r}; {example}")


def check_names(name: str, values: Any, pattern: str, example: str) -> None:
    """Raise ValueError if a setting is no list of such names."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name} is {values!r}; it must be a list")
    for value in values:
        check_name(name, value, pattern, example, optional=False)
