"""The simulated AWS as a daemon. Usage: aws_daemon.py STATE PORT"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import machine_network
import machine_runner
from aws_control import Control
from aws_faults import Faults
from aws_front import Front
from aws_log import Log
from aws_world import World


def main(state: Path, port: int) -> None:
    """Serve until the end is asked for."""
    directory = state / "clouds" / "aws" / "machines"
    directory.mkdir(parents=True, exist_ok=True)
    machine_runner.clean(directory)
    machine_network.make_bridge()
    endpoint = f"http://{machine_network.HOME}:{port}"
    world = World(directory, endpoint, {"aws": Path(sys.prefix) / "bin" / "aws"})
    about = {"state": str(state), "endpoint": endpoint, "pid": os.getpid()}
    control = Control(world, Faults(), Log(), about)
    fronts = [Front((address, port), control) for address in (machine_network.HOME, "127.0.0.1")]
    for front in fronts:
        threading.Thread(target=front.serve_forever, daemon=True).start()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    over.wait()
    for front in fronts:
        front.shutdown()
        front.server_close()
    world.machines.reset()
    machine_network.remove_bridge()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
