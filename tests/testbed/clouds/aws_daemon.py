"""The simulated AWS as a daemon. Usage: aws_daemon.py STATE PORT, with an endpoint of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import machine_network
import machine_runner
from aws_faults import Faults
from aws_front import Front, Log
from aws_world import World


def main(state: Path, port: int) -> None:
    """Serve until the end is asked for."""
    directory = state / "clouds" / "aws"
    (directory / "machines").mkdir(parents=True, exist_ok=True)
    machine_runner.clean(directory / "machines")
    machine_network.make_bridge()
    endpoint = f"http://{machine_network.HOME}:{port}"
    aws = Path(sys.prefix) / "bin" / "aws"
    world = World(directory, endpoint, {"aws": aws})
    about = {"state": str(state), "endpoint": endpoint, "pid": os.getpid()}
    faults, log = Faults(), Log()
    fronts = [
        Front((address, port), world, faults, log, about)
        for address in (machine_network.HOME, "127.0.0.1")
    ]
    for front in fronts:
        threading.Thread(target=front.serve_forever, daemon=True).start()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    over.wait()
    for front in fronts:
        front.shutdown()
        front.server_close()
    world.close()
    machine_network.remove_bridge()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
