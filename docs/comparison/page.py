"""Write the tables of docs/comparison.md and of README.md from what was seen.

::

    python docs/comparison/page.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

# They are found once the path is there.
from comparison import cells  # noqa: E402
from comparison.cells import Facts  # noqa: E402
from recording.marks import filled  # noqa: E402

ROOT = HERE.parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "comparison.md")
COLUMNS = {
    "launchkit": "launchkit `local`",
    "submitit_local": "submitit `submitit_local`",
    "joblib": "joblib",
    "ray": "ray",
}
NOT_TRIED = "–"  # noqa: RUF001 - what tables have where there is nothing


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Parameters
    ----------
    what
        What is compared.
    scenario
        The trial it is read from.
    cell
        Makes the words of a cell from the facts of that trial.
    short
        Whether the README has it as well.
    sky
        What was seen of SkyPilot, which has no trials here.
    """

    what: str
    scenario: str
    cell: Callable[[Facts], str]
    short: bool = False
    sky: str = NOT_TRIED


ROWS = (
    Row(
        "the launcher's terminal closes: jobs that complete",
        "the terminal closes",
        cells.closed,
        True,
    ),
    Row("the same, started with `nohup`", "the terminal closes, nohup", cells.closed, True),
    Row("`kill -9` of the launcher", "the launcher is killed", cells.killed, True),
    Row("the sweep is then run again", "the launcher is killed", cells.after_kill, True),
    Row("one job failed, the sweep is run again", "only what failed", cells.only, True),
    Row("that job alone, started by its override, writes", "alone by hand", cells.alone),
    Row(
        "a job that raises once, with retries", "retries of a job that raises", cells.retried, True
    ),
    Row(
        "a job that is killed once, with retries",
        "retries of a job that is killed",
        cells.retried,
        True,
    ),
    Row("where the output of its attempts is", "retries of a job that is killed", cells.kept),
    Row("a job hangs, with a time limit", "time limit", cells.limit, True),
    Row("12 jobs, all of which fail", "many failures", cells.many, True),
    Row("two GPUs for six jobs (`CUDA_VISIBLE_DEVICES`)", "gpus", cells.gpus, True),
    Row("jobs at once, where two are asked for", "gpus", cells.at_once, True),
    Row("status from another shell", "looked at", cells.status, True),
    Row("cancel from another shell", "cancelled elsewhere", cells.cancelled, True),
    Row("Ctrl-C", "Ctrl-C", cells.stopped),
    Row("SIGTERM to the launcher", "SIGTERM", cells.stopped, True),
    Row("a job raises: others that complete", "a job raises", cells.bad_job),
    Row("a job calls `sys.exit(3)`", "a job calls sys.exit(3)", cells.bad_job, True),
    Row("a job is killed (SIGKILL)", "a job is killed", cells.bad_job, True),
    Row(
        "a job returns what cannot be pickled: others that complete",
        "a job returns a lock",
        cells.bad_job,
        True,
    ),
    Row("the plan without running it", "dry run", cells.dry, True),
    Row(
        "what runs meanwhile, jobs included",
        "looked at",
        cells.beside,
        True,
        "3 processes (its API server, no job), 378 MB",
    ),
)


def seen() -> dict[str, Facts]:
    """Return what was seen of each launcher."""
    return {
        name: json.loads((HERE / "seen" / f"{name}.json").read_text(encoding="utf-8"))
        for name in COLUMNS
    }


def table(found: Mapping[str, Facts], *, short: bool) -> str:
    """Return the table, or the part of it that the README has."""
    heads = ["", *COLUMNS.values(), "SkyPilot managed jobs"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in ROWS:
        if row.short or not short:
            told = [row.cell(found[name][row.scenario]) for name in COLUMNS]
            lines.append(f"| {' | '.join([row.what, *told, row.sky])} |")
    return "\n".join(lines)


def versions(found: Mapping[str, Facts]) -> str:
    """Return which versions were tried."""
    lines = ["| | |", "|---|---|"]
    for name, title in COLUMNS.items():
        told = ", ".join(f"{key} {value}" for key, value in found[name]["versions"].items())
        lines.append(f"| {title} | {told} |")
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Return the pages as they are to be."""
    found = seen()
    readme, page = (path.read_text(encoding="utf-8") for path in PAGES)
    page = filled(page, "versions", versions(found))
    return {
        PAGES[0]: filled(readme, "comparison", table(found, short=True)),
        PAGES[1]: filled(page, "comparison", table(found, short=False)),
    }


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
