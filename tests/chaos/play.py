"""Plays the chaos for as long as one likes: ``python tests/chaos/play.py --minutes 30``.

It prints a line a round, and at the end what was killed and what was lost; the exit code
is 1 if anything was.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from chaos_round import DOORS, FAULTS, METHODS, Round

MOST_KILLS = 6


def main() -> int:
    options = _options()
    chance = random.Random(options.seed)
    kinds = list(itertools.product(options.fault, options.method, options.door))
    root = Path(tempfile.mkdtemp(prefix="launchkit-chaos-"))
    deadline = time.monotonic() + 60.0 * options.minutes
    kills: Counter[str] = Counter()
    rounds = launches = looks = statuses = lost = 0
    print(f"seed {options.seed}, in {root}")
    while time.monotonic() < deadline and rounds != options.rounds:
        rounds += 1
        fault, method, door = chance.choice(kinds)
        seed = f"{options.seed}.{rounds}"
        began, directory = time.monotonic(), root / str(rounds)
        report = Round(directory, fault, method, door, seed, MOST_KILLS).play()
        kills += report.kills
        launches, looks = launches + report.launches, looks + report.looks
        statuses, lost = statuses + report.statuses, lost + bool(report.lost)
        took = time.monotonic() - began
        verdict = "LOST" if report.lost else "nothing lost"
        print(
            f"round {rounds}: {fault} {method} {door}, {sum(report.kills.values())} kills, "
            f"{report.launches} launches, {took:.1f} s: {verdict}",
            flush=True,
        )
        for line in report.lost:
            print(f"    {line}")
        if report.lost:
            print(f"    see {directory}", flush=True)
        else:
            shutil.rmtree(directory)
    killed = ", ".join(f"{count} {name}" for name, count in sorted(kills.items()))
    print(f"{rounds} rounds, {sum(kills.values())} kills ({killed}), {launches} launches;")
    print(f"all files were read {looks} times, `launchkit status` {statuses} times;")
    print(f"rounds in which something was lost: {lost}")
    return 1 if lost else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--fault", nargs="+", choices=FAULTS, default=FAULTS, metavar="FAULT")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--door", nargs="+", choices=DOORS, default=DOORS, metavar="DOOR")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
