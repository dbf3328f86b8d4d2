"""Process ids that another program has by now: it is neither waited for nor killed."""

from __future__ import annotations

import json
import subprocess

import chaos_verdict
import pytest
from chaos_namespace import PROCESSES, refused, run
from chaos_programs import command, ended, engine, wait_for, wait_until

from launchkit import driver, process_table
from launchkit.sweep import Sweep

JOBS, STEPS = 3, 12


@pytest.fixture
def innocent():
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_the_files_say_of_an_id_that_another_process_has(tmp_path, innocent, method):
    sweep, ledger = tmp_path / "sweep", tmp_path / "ledger"
    ledger.mkdir()
    train = [f"--jobs={JOBS}", f"--steps={STEPS}", "--pause=0.02", f"--method={method}"]
    launcher = engine(sweep, ledger, *train)
    wait_for(ledger, "saved", 0, 1, program=launcher)
    warden = driver.current(Sweep.open(sweep)).warden
    launcher.kill()
    ended(launcher)
    wait_until(lambda: not process_table.is_alive(warden), "the warden to end")
    start, _, ticks = process_table.identity(innocent.pid).rpartition(".")
    reused = f"{start}.{int(ticks) - 1000}"
    for path, keys in (
        (sweep / ".launchkit" / "driver-1.json", ("process", "warden")),
        (sweep / "0" / ".launchkit" / "state.json", ("process",)),
        (sweep / "1" / ".launchkit" / "state.json", ("process",)),
    ):
        values = json.loads(path.read_text())
        path.write_text(json.dumps({**values, **dict.fromkeys(keys, reused)}))
    code, said = ended(command("resume", sweep))
    assert code == 0, said
    assert innocent.poll() is None
    assert chaos_verdict.lost(sweep, ledger, JOBS, STEPS) == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ids_that_have_really_been_given_again(tmp_path, method):
    if why := refused(PROCESSES):
        pytest.skip(f"process ids cannot be chosen here: {why}")
    found = run(PROCESSES, "chaos_reused_ids.py", tmp_path, method)
    assert found["ids"] is True
    assert found["code"] == 0, found["said"]
    assert all(found["alive"]), found
    assert found["lost"] == []
