"""Try a launcher, and write down what was seen.

::

    python docs/comparison/probe.py joblib path/to/an/environment/bin/python [SCENARIO…]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from launchers import LAUNCHERS
from scenarios import SCENARIOS

SEEN = Path(__file__).with_name("seen")
VERSIONS = """\
import importlib.metadata, json, platform, sys
found = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({"python": platform.python_version(), **found}))
"""


def main() -> None:
    """Play scenarios, and put their facts in the launcher's file in ``seen/``."""
    parser = argparse.ArgumentParser(description="Try a launcher, and write down what was seen.")
    parser.add_argument("launcher", choices=LAUNCHERS)
    parser.add_argument("python", type=Path, help="the interpreter of an environment that has it")
    parser.add_argument("scenario", nargs="*", help=f"by default all of: {', '.join(SCENARIOS)}")
    parser.add_argument("--seen", type=Path, default=SEEN, help="where the facts are kept")
    options = parser.parse_args()
    launcher = LAUNCHERS[options.launcher]
    # Not resolved: an environment's interpreter is a link.
    python = options.python.absolute()
    path = options.seen / f"{launcher.name}.json"
    seen = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    asked = [str(python), "-c", VERSIONS, *launcher.packages]
    seen["versions"] = json.loads(subprocess.check_output(asked, text=True))
    for name in options.scenario or SCENARIOS:
        facts = SCENARIOS[name](launcher, python)
        seen[name] = facts
        sys.stderr.write(f"{launcher.name}: {name}: {json.dumps(facts)}\n")
        options.seen.mkdir(exist_ok=True)
        path.write_text(json.dumps(seen, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
