"""What is going to be bought, in words and figures; the limits; and the question to a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from launchkit.cloud.cloud_settings import CloudSettings
from launchkit.cloud.providers import Offer


@dataclass(frozen=True)
class Purchase:
    """The machines that a sweep needs, and what they cost at most.

    Parameters
    ----------
    jobs
        How many jobs there are.
    machines
        How many machines they need in all.
    at_once
        How many of these there are at a time, at most.
    offer
        What the provider says.
    settings
        The limits.
    spent
        What the sweep has cost before, at most, in USD.
    """

    jobs: int
    machines: int
    at_once: int
    offer: Offer
    settings: CloudSettings
    spent: float = 0.0

    @classmethod
    def of(cls, jobs: int, settings: CloudSettings, offer: Offer, spent: float = 0.0) -> Purchase:
        """Work out what so many jobs need."""
        machines = settings.machines_for(jobs)
        limits = [each for each in (settings.max_machines, offer.most) if each is not None]
        return cls(jobs, machines, min([machines, *limits]), offer, settings, spent)

    @property
    def price_per_hour(self) -> float | None:
        """The most that all machines at a time cost an hour, in USD; None if not known."""
        price = self.offer.price_per_hour
        return None if price is None else price * self.at_once

    @property
    def total(self) -> float | None:
        """The most that the sweep costs in all, in USD; None if that is not known."""
        price = self.offer.price_per_hour
        if price is None:
            return None
        return self.spent + price * self.machines * self.settings.max_lifetime_min / 60

    def check(self) -> None:
        """Raise ValueError if it is beyond a limit, or whether it is cannot be told."""
        limits = (
            ("max_price_per_hour", self.settings.max_price_per_hour, self.price_per_hour),
            ("max_total_price", self.settings.max_total_price, self.total),
        )
        for name, limit, price in limits:
            if limit is None:
                continue
            if price is None:
                raise ValueError(
                    f"{name} is {limit:g} USD, and what a machine costs cannot be told "
                    f"({self.offer.price_source}); set price_per_hour, or {name} to null"
                )
            if price > limit + 1e-9:
                raise ValueError(
                    f"{name} is {limit:g} USD, and {self._many()} could cost {usd(price)}"
                    + (" an hour" if name == "max_price_per_hour" else f" in {self._hours()}")
                    + "; set it higher, or lower max_machines, max_lifetime_min, or the jobs"
                )

    def lines(self) -> list[str]:
        """Return it in words, a line each."""
        settings = self.settings
        each = settings.num_exps_per_instance
        at_once = f", {self.at_once} at a time" if self.at_once < self.machines else ""
        what = f"{self.jobs} job{'s' * (self.jobs != 1)} on {self._many()}{at_once}"
        lines = [
            what + (f", up to {each} jobs each" if each > 1 else ""),
            *self.offer.lines,
            f"each ends by itself after its last job, and after {self._hours()} whatever runs "
            "(max_lifetime_min)",
        ]
        if self.price_per_hour is None or self.total is None:
            lines.append(f"price: not known ({self.offer.price_source})")
        else:
            spent = f", {usd(self.spent)} of it so far" if self.spent else ""
            lines.append(
                f"price: at most {usd(self.price_per_hour)} an hour, {usd(self.total)} in all"
                f"{spent} ({self.offer.price_source})"
            )
        return lines

    def _many(self) -> str:
        return f"{self.machines} machine{'s' * (self.machines != 1)}"

    def _hours(self) -> str:
        minutes = self.settings.max_lifetime_min
        return f"{minutes / 60:g} h" if minutes % 30 == 0 else f"{minutes} min"


def ask(lines: Sequence[str], mode: str) -> None:
    """Ask a person whether machines are to be bought.

    Raises
    ------
    ValueError
        If the answer is no, or nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise ValueError(
            "nothing is bought without a yes, and there is no terminal to ask at; set "
            "confirm=false if you mean it (the plan: hydra.launcher.dry_run=true)"
        )
    text = "".join(f"  {line}\n" for line in lines)
    sys.stderr.write(f"launchkit: mode {mode} is going to rent:\n{text}")
    sys.stderr.flush()
    try:
        answer = input("launchkit: go on? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ValueError("nothing was bought: the answer was no")


def usd(amount: float) -> str:
    """Return an amount of money in words; small ones with more digits."""
    return f"{amount:.2f} USD" if amount >= 0.1 else f"{amount:.4f} USD"
