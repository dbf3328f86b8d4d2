"""Programs that a machine's agent runs, apart from those of its bucket."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import subprocess
import threading
import time

ANSWER_S = 30.0


def docker(*arguments: str) -> "tuple[int, str]":
    """Ask Docker, and return its exit code and answer."""
    return call(["docker", *arguments])


def call(
    command: "list[str]",
    timeout: float = ANSWER_S,
    stop: "threading.Event | None" = None,
    *,
    given: bytes = b"",
    quiet: bool = False,
) -> "tuple[int, str]":
    """Run a program, and return its exit code and what it has printed."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT,
        )
    except OSError as error:
        return 127, str(error)
    until = time.monotonic() + timeout
    data: bytes | None = given
    while True:
        try:
            output = process.communicate(data, timeout=1.0)[0]
            return process.returncode, output.decode(errors="replace").strip()
        except subprocess.TimeoutExpired:
            data = None
            if time.monotonic() > until or (stop is not None and stop.is_set()):
                process.kill()
                process.communicate()
                return 124, f"{command[0]} does not come to an end"
