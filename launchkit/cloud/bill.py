"""What a sweep has rented, in words and for programs: by its own files, without the network."""

from __future__ import annotations

from dataclasses import dataclass

from launchkit.cloud.ledger import Ledger
from launchkit.cloud.purchase import usd
from launchkit.sweep import Sweep

PLACES = {"ec2": ("s3", "s3_bucket", "s3_log_path"), "gcp": ("gs", "gcp_bucket", "gcp_log_path")}
"""The scheme of a bucket's address, and the settings that have the rest, by mode."""


@dataclass(frozen=True)
class Bill:
    """What a sweep has rented.

    Parameters
    ----------
    bucket
        The address of the sweep in its bucket.
    running
        How many machines are not known to be gone.
    machines
        How many have been bought in all.
    unsettled
        How many requests there are of which it is not known what they have brought.
    most
        What the machines cost at most, in USD, those that run for as long as they may live; None
        if the price of some is not known.
    """

    bucket: str
    running: int
    machines: int
    unsettled: int
    most: float | None

    @property
    def lines(self) -> list[str]:
        """Return it in words."""
        told = [f"bucket: {self.bucket}"]
        if not self.machines and not self.unsettled:
            return told
        cost = "at a price that is not known" if self.most is None else f"at most {usd(self.most)}"
        words = f"machines: {self.running} running, {self.machines} in all, {cost}"
        if self.unsettled:
            requests = f"{self.unsettled} request{'s' * (self.unsettled != 1)}"
            words += f"; what has come of {requests} is not known"
        return [*told, words]


def bill(sweep: Sweep) -> Bill | None:
    """Return what a sweep has rented; None if its mode rents nothing."""
    if sweep.mode not in PLACES:
        return None
    scheme, *keys = PLACES[sweep.mode]
    bucket, prefix = (sweep.settings.get(key) for key in keys)
    ledger = Ledger(sweep)
    bought = ledger.machines
    return Bill(
        bucket=f"{scheme}://{bucket}/{prefix}/{sweep.id}",
        running=sum(each.gone is None for each in bought),
        machines=len(bought),
        unsettled=len(ledger.unsettled),
        most=None if any(each.price is None for each in bought) else ledger.cost(),
    )
