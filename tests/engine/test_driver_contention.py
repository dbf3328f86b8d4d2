"""Many start at the same moment: one drives."""

from __future__ import annotations

import subprocess

from engine_helpers import PATIENCE_S, start_python

from launchkit.driver import current
from launchkit.sweep import Sweep

STARTERS, ROUNDS = 6, 25

STARTER = """
import os, sys
from launchkit.driver import Claim, Driven
from launchkit.sweep import Sweep
sweep = Sweep.open(sys.argv[1])
print("ready", flush=True)
for round_ in range(int(sys.argv[2])):
    sys.stdin.readline()
    try:
        with Claim(sweep, print):
            # Only one can make it; who finds it there has come in beside somebody.
            os.close(os.open(sys.argv[3], os.O_CREAT | os.O_EXCL))
            print("drives", flush=True)
            sys.stdin.readline()
            os.unlink(sys.argv[3])
        print("released", flush=True)
    except Driven:
        print("refused", flush=True)
        sys.stdin.readline()
        print("released", flush=True)
    except FileExistsError:
        print("beside another", flush=True)
"""


def test_of_many_that_start_together_exactly_one_drives(empty_sweep, tmp_path):
    starters = [
        start_python(
            STARTER,
            empty_sweep.directory,
            ROUNDS,
            tmp_path / "inside",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(STARTERS)
    ]
    try:
        heard = [starter.stdout.readline() for starter in starters]
        assert heard == ["ready\n"] * STARTERS
        for _ in range(ROUNDS):
            for said in (["drives"] + ["refused"] * (STARTERS - 1), ["released"] * STARTERS):
                for starter in starters:
                    starter.stdin.write("go\n")
                    starter.stdin.flush()
                heard = [starter.stdout.readline().strip() for starter in starters]
                assert sorted(heard) == said
        for starter in starters:
            assert starter.wait(PATIENCE_S) == 0
    finally:
        for starter in starters:
            starter.kill()
            starter.communicate()
    assert current(Sweep.open(empty_sweep.directory)).released
    assert len(list(empty_sweep.own.glob("driver-*"))) <= 9
    assert list(empty_sweep.own.glob("*.tmp")) == []


RACER = """
import os, sys
from launchkit.driver import Claim, Driven
from launchkit.sweep import Sweep
sweep = Sweep.open(sys.argv[1])
driven = 0
while driven < int(sys.argv[2]):
    try:
        with Claim(sweep, print):
            os.close(os.open(sys.argv[3], os.O_CREAT | os.O_EXCL))
            driven += 1
            os.unlink(sys.argv[3])
    except Driven:
        continue
print(driven)
"""


def test_claims_that_follow_each_other_without_a_pause_never_overlap(empty_sweep, tmp_path):
    # No starting gun: some look while others come and go, and claim late.
    racers = [
        start_python(
            RACER,
            empty_sweep.directory,
            100,
            tmp_path / "inside",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for racer in racers:
        out, err = racer.communicate(timeout=60)
        assert (racer.returncode, out) == (0, "100\n"), err
