"""The rows of many runs, as they are read: in blocks, which are put together at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from launchkit.results.progress_csv import Column, Table


@dataclass
class Block:
    """Rows of some runs that have the same columns, run after run.

    Parameters
    ----------
    runs, counts
        The runs' places in the load, ascending, and how many rows each has.
    columns
        An array a column.
    """

    runs: list[int]
    counts: list[int]
    columns: dict[str, Column]


@dataclass
class Batch:
    """What was read of some runs: their rows, and (run, what is wrong with it)."""

    blocks: list[Block] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def add(self, run: int, table: Table) -> None:
        """Add a run that was read by itself."""
        self.problems += [(run, f"progress.csv {problem}") for problem in table.problems]
        if table.rows:
            self.blocks.append(Block([run], [table.rows], table.columns))


def join(
    blocks: list[Block], counts: Sequence[int], map_columns: Callable[..., Iterable[Column]] = map
) -> dict[str, Column]:
    """Put the columns of all blocks together, in the order of the runs.

    Parameters
    ----------
    counts
        Rows of every run of the load.
    map_columns
        Builds the columns; the `map` of a pool of threads builds them side by side.
    """
    starts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).tolist()
    ordered = sorted(blocks, key=lambda block: block.runs[0])
    moves = [_moves(block, starts) for block in ordered]
    names = list(dict.fromkeys(name for block in ordered for name in block.columns))

    def column(name: str) -> Column:
        parts = [
            (block.columns.pop(name), move)
            for block, move in zip(ordered, moves, strict=True)
            if name in block.columns
        ]
        text = any(part.dtype == object for part, _ in parts)
        filled = np.empty(starts[-1], dtype=object if text else np.float64)
        if text or len(parts) < len(ordered):
            filled.fill(np.nan)
        for part, move in parts:
            for source, target, length in move:
                filled[target : target + length] = part[source : source + length]
        return filled

    return dict(zip(names, map_columns(column, names), strict=True))


def _moves(block: Block, starts: list[int]) -> list[tuple[int, int, int]]:
    """Return (from, to, length) of the slices that put a block's rows in their places."""
    moves: list[tuple[int, int, int]] = []
    source = 0
    for run, count in zip(block.runs, block.counts, strict=True):
        target = starts[run]
        if moves and sum(moves[-1][1:]) == target:
            begun, to, length = moves[-1]
            moves[-1] = (begun, to, length + count)
        else:
            moves.append((source, target, count))
        source += count
    return moves
