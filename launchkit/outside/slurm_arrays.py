"""The arrays of a sweep in Slurm: which packs are the tasks of which."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from launchkit.outside import slurm
from launchkit.outside.packs import Pack


@dataclass(frozen=True)
class Array:
    """Packs that are the tasks of one array.

    Parameters
    ----------
    first
        The number of the pack that has index 0.
    packs
        The packs.
    parallelism
        How many run at a time; None for as many as Slurm lets.
    """

    first: int
    packs: tuple[Pack, ...]
    parallelism: int | None = None

    @property
    def flag(self) -> str:
        """The flag of ``sbatch`` that says which tasks there are."""
        limit = f"%{self.parallelism}" if self.parallelism else ""
        return f"--array={slurm.ranges(pack.num - self.first for pack in self.packs)}{limit}"


def arrays(packs: Sequence[Pack], size: int, parallelism: int | None) -> list[Array]:
    """Put packs into as few arrays as can be, those that need the same into one.

    Parameters
    ----------
    packs
        The packs, those that need the same beside each other.
    size
        How many tasks an array may have.
    parallelism
        How many run at a time in all arrays together.
    """
    parts: list[tuple[Pack, ...]] = []
    for _, group in groupby(packs, key=lambda pack: (pack.needs.gpus, pack.needs.cpus)):
        alike = tuple(group)
        many = -(-len(alike) // size)
        each = -(-len(alike) // many)
        parts += [alike[at : at + each] for at in range(0, len(alike), each)]
    share = None if parallelism is None else max(1, parallelism // max(1, len(parts)))
    return [Array(part[0].num, part, share) for part in parts]


def without(arrays: Sequence[Array], nums: Collection[int]) -> list[Array]:
    """Return arrays without the packs of some numbers, and without those that have none then."""
    kept = [
        replace(array, packs=tuple(pack for pack in array.packs if pack.num not in nums))
        for array in arrays
    ]
    return [array for array in kept if array.packs]
