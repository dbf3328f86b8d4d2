"""Programs that drive a sweep, started and waited for by tests that do something to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chaos_ledger

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE_S = 30.0


def environment(*before: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join(map(str, [*before, ROOT, HERE]))
    return {**os.environ, "PYTHONPATH": path, **more}


def start(*command: Any, **options: Any) -> subprocess.Popen[str]:
    """Start a Python program in a session of its own; what it says is in one stream."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            "env": environment(),
            "start_new_session": True,
            **options,
        },
    )


def engine(sweep: Path, ledger: Path, *options: Any, **more: Any) -> subprocess.Popen[str]:
    """Begin or take up a sweep with the engine."""
    return start(HERE / "chaos_engine.py", sweep, ledger, *options, **more)


def hydra(sweep: Any, *overrides: str, **more: Any) -> subprocess.Popen[str]:
    """Begin or take up a sweep with Hydra."""
    own = [
        "hydra/launcher=launchkit_local",
        "hydra/callbacks=launchkit",
        f"hydra.sweep.dir={sweep}",
    ]
    return start(HERE / "chaos_hydra.py", "-m", *own, *overrides, **more)


def command(*arguments: Any, **more: Any) -> subprocess.Popen[str]:
    """Start ``launchkit`` with arguments."""
    return start("-m", "launchkit.cli", *arguments, **more)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a program's end, and return its exit code and what it has said."""
    try:
        said, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        raise AssertionError(f"{process.args} has not ended: {said}") from None
    return process.returncode, said


def wait_until(true: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        result = true()
        if result:
            return result
        time.sleep(0.005)
    raise AssertionError(f"waited {PATIENCE_S} s for {what}")


def wait_for(
    ledger: Path, what: str, *nums: int, program: subprocess.Popen[str] | None = None
) -> None:
    """Wait until the jobs of these numbers have written a line of this kind."""

    def written() -> bool:
        if program is not None and program.poll() not in (None, 0):
            raise AssertionError(f"{program.args} has ended: {ended(program)}")
        return all(
            any(line["what"] == what for line in chaos_ledger.lines(ledger, num)) for num in nums
        )

    wait_until(written, f"{what} of jobs {nums}")
