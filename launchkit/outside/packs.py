"""Packs: the groups of jobs that run together in one container, Slurm task or remote host.

A pack is known by a whole number, the only thing about it that is ever an argument of a
command; what is in it stands in ``packs.jsonl`` below the sweep.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launchkit import files
from launchkit.job import Needs
from launchkit.sweep import Sweep, SweepError

FILE = "packs.jsonl"


@dataclass(frozen=True)
class Pack:
    """A group of jobs.

    Parameters
    ----------
    num
        Its number, unique in the sweep; those that are made together count on by one.
    jobs
        The numbers of its jobs, in the order in which they start.
    places
        How they share what there is for them: settings of mode ``local``.
    stays
        Whether its host waits for more jobs after these, until it is told to end.
    tells
        Whether its host tells the end of each job, for a launcher that does not see its disk.
    needs
        What it needs of the machine that its carrier is started on.
    """

    num: int
    jobs: tuple[int, ...]
    places: Mapping[str, Any] = field(default_factory=dict)
    stays: bool = False
    tells: bool = False
    needs: Needs = field(default_factory=Needs)


def add(
    sweep: Sweep,
    groups: Sequence[Sequence[int]],
    places: Mapping[str, Any],
    *,
    stays: bool = False,
    tells: bool = False,
) -> list[Pack]:
    """Write down new packs, one for each group of jobs, and return them."""
    first = max((known.num for known in _all(sweep)), default=-1) + 1
    packs = [
        Pack(num, tuple(group), dict(places), stays, tells)
        for num, group in enumerate(groups, first)
    ]
    same = {"stays": stays, "tells": tells}
    lines = [
        json.dumps({"pack": pack.num, "jobs": pack.jobs, "places": pack.places, **same})
        for pack in packs
    ]
    if lines:
        files.append_line(sweep.own / FILE, "\n".join(lines), mode=0o600)
    return packs


def find(sweep: Sweep, num: int) -> Pack:
    """Return a pack of a sweep.

    Raises
    ------
    SweepError
        If it has no such pack.
    """
    for pack in _all(sweep):
        if pack.num == num:
            return pack
    raise SweepError(f"{sweep.directory} has no pack {num} in {sweep.own / FILE}")


def _all(sweep: Sweep) -> list[Pack]:
    return [
        Pack(line["pack"], tuple(line["jobs"]), line["places"], line["stays"], line["tells"])
        for line in files.read_json_lines(sweep.own / FILE)
    ]
