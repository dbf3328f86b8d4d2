"""The process ids of a killed sweep, given to others before it is resumed; prints JSON.

It has a namespace of processes to itself, in which it is the first, and says which id is
given next.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import chaos_verdict
from chaos_programs import command, ended, engine, wait_for, wait_until

from launchkit import driver, process_table
from launchkit.sweep import Sweep

JOBS, STEPS = 3, 12


def main() -> None:
    root, method = Path(sys.argv[1]), sys.argv[2]
    sweep, ledger = root / "sweep", root / "ledger"
    ledger.mkdir()
    train = [f"--jobs={JOBS}", f"--steps={STEPS}", "--pause=0.03", f"--method={method}"]
    launcher = engine(sweep, ledger, *train)
    wait_for(ledger, "saved", 0, 1, program=launcher)
    known = Sweep.open(sweep)
    last = driver.current(known)
    states = [attempt.process for attempt in known.attempts().values() if attempt.process]
    ids = [process_table.here(process) for process in (last.process, last.warden, *states)]
    end_all()
    launcher.communicate()
    others = [other(pid) for pid in ids]
    taken = [process.pid for process in others]
    code, said = ended(command("resume", sweep))
    alive = [process.poll() is None for process in others]
    for process in others:
        process.kill()
        process.wait()
    lost = chaos_verdict.lost(sweep, ledger, JOBS, STEPS)
    ids_taken = taken == ids
    print(json.dumps({"ids": ids_taken, "code": code, "said": said, "alive": alive, "lost": lost}))


def end_all() -> None:
    """Kill every other process, and see them gone: orphans are this one's children."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while len(pids()) > 1 and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def other(pid: int) -> subprocess.Popen[bytes]:
    """Start a process of this id that leads a session, and has nothing to do with the sweep."""

    def start() -> subprocess.Popen[bytes] | None:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
        return None

    return wait_until(start, f"the id {pid}")


if __name__ == "__main__":
    main()
