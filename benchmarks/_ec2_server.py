"""The simulated EC2 of the testbed, with machines that run nothing: ``_ec2_server.py DIRECTORY``.

It is run by the testbed's own Python, says on which port it answers, and ends with its input.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "testbed" / "clouds"))

from aws_control import Control
from aws_faults import Faults
from aws_front import Front
from aws_log import Log
from aws_world import World

QUOTA = "L-1216C47A"
"""The virtual CPUs of ordinary machines that an account may have at a time."""


def main(directory: Path) -> None:
    """Serve until the end of the input."""
    world = World(directory, "", {})
    world.machines.next(boot=False)
    world.extras.quotas[QUOTA] = 100_000.0
    front = Front(("127.0.0.1", 0), Control(world, Faults(), Log(), {}))
    threading.Thread(target=front.serve_forever, daemon=True).start()
    sys.stdout.write(f"{front.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
