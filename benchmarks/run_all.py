"""Runs every benchmark, and writes the table of README.md from the raw numbers.

    python benchmarks/run_all.py [--only NAME,NAME] [--table]

``--table`` runs nothing, and writes the table from what ``results/`` has.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _measure import result_path

HERE = Path(__file__).parent
README = HERE / "README.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"

# What each program measures against.
AGAINST = {
    "bench_sweep_wall": "hydra-joblib-launcher, n_jobs=2",
    "bench_sweep_cpu": "Hydra's basic launcher",
    "bench_first_job": "hydra-joblib-launcher, n_jobs=2",
    "bench_memory": "one such process",
    "bench_plugin_start": "",
    "bench_logger": "csv.DictWriter with a flush a row",
    "bench_load_sweep": "a loop of pandas.read_csv and json.load",
    "bench_scaling": "a tenth of the jobs",
    "bench_commands": "a tenth of the jobs",
    "bench_slurm": "hydra-submitit-launcher, a Slurm job each",
    "bench_docker": "doodad, `run_command` for each job",
    "bench_archive": "a sweep of one job",
    "bench_cloud": "doodad, `run_command` for each job",
}


def main() -> int:
    """Run the benchmarks, write the table, and return how many programs did not exit with 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help="programs to run, without .py, with commas")
    parser.add_argument("--table", action="store_true", help="only write the table")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(AGAINST)
    unknown = set(names) - set(AGAINST)
    if unknown:
        parser.error(f"no program {', '.join(sorted(unknown))}; there are {', '.join(AGAINST)}")
    bad = [] if given.table else [name for name in names if not _run(name)]
    README.write_text(with_table(README.read_text(), table(_results())))
    if bad:
        print(f"short or broken: {', '.join(bad)}", file=sys.stderr)
    return len(bad)


def _run(name: str) -> bool:
    print(f"\n{name}", flush=True)
    done = subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False)
    return done.returncode == 0


def _results() -> dict[str, dict[str, Any]]:
    """Read what the programs left behind, for this Python."""
    paths = {name: result_path(name) for name in AGAINST}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def with_table(text: str, made: str) -> str:
    """Put the table between the markers.

    Raises
    ------
    ValueError
        If a marker is not there.
    """
    before, found, rest = text.partition(BEGIN)
    _, also_found, after = rest.partition(END)
    if not (found and also_found):
        raise ValueError(f"{README.name} has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the machines and the lines of every program, as Markdown."""
    if not results:
        return "Nothing has been measured yet."
    rows = [
        _row(AGAINST[name], line) for name, raw in results.items() for line in raw["comparisons"]
    ]
    head = ["what", "against", "required", "measured", "rounds", ""]
    lines = [_machine(list(results.values())), "", _cells(head), _cells(["---"] * len(head))]
    return "\n".join(lines + [_cells(row) for row in rows])


def _row(against: str, line: dict[str, Any]) -> list[str]:
    ours = statistics.median(line["ours"])
    unit = line["unit"]
    if "limit" in line:
        required, measured = f"at most {line['limit']:g} {unit}", f"{ours:.4g} {unit}"
        against = ""
    else:
        theirs = statistics.median(line["theirs"])
        sides = f"({ours:.3g} {unit}, theirs {theirs:.3g} {unit})"
        # What may be larger than the other side's is said as its multiple.
        if line["required"] < 1 and unit in ("ms", "MB"):
            required = f"at most {1 / line['required']:.3g} times"
            measured = f"{1 / line['ratio']:.3g} times {sides}"
        else:
            required = f"{line['required']:.2g} times as good"
            measured = f"{line['ratio']:.3g} times {sides}"
    verdict = "PASS" if line["reached"] else "SHORT"
    return [line["name"], against, required, measured, str(len(line["ours"])), verdict]


def _machine(results: Sequence[dict[str, Any]]) -> str:
    """Say where, when and with what; programs that were run elsewhere each for itself."""
    said = []
    for raw in results:
        machine = raw["machine"]
        day = time.strftime("%Y-%m-%d", time.gmtime(raw["time"]))
        versions = ", ".join(f"{name} {v}" for name, v in machine.get("versions", {}).items())
        text = (
            f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
            f"Python {machine['python']}, {versions}; {day}."
        )
        if text not in said:
            said.append(text)
    return "\n".join(said)


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
