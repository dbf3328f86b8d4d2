"""The simulated EC2 of the testbed, without its machines: ``_ec2_server.py DIRECTORY``.

A program for the Python of the testbed. It says on which port it answers, and ends with its input.
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


def main(directory: Path) -> None:
    """Serve until the end of the input."""
    front = Front(("127.0.0.1", 0), Control(World(directory, "", {}), Faults(), Log(), {}))
    threading.Thread(target=front.serve_forever, daemon=True).start()
    print(front.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
