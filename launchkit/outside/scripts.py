"""The scripts inside the archive, as text: ``run.sh``, and ``final_script.sh`` around it.

Both take whole numbers as their only arguments; whatever else they need stands in them,
quoted, or is found beside them.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence

NO_PYTHON_CODE = 88

BEGIN = """\
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sweep=$(CDPATH= cd -- "$here/../.." && pwd)
"""
"""`here` is where the archive was unpacked, ``.launchkit/unpacked`` below the sweep."""

UNPACKED = "unpacked"

LOGS = "carriers"
"""Where below ``.launchkit`` carriers leave what they have to say."""


def candidates(python: str | None, first: Sequence[str] = ()) -> list[str]:
    """Return the Pythons to look for, the best first.

    Parameters
    ----------
    python
        The only one to take, if that is set.
    first
        Those to look for before others, if not.
    """
    version = ".".join(platform.python_version_tuple()[:2])
    return [python] if python else [*first, f"python{version}", "python3", "python"]


def exports(env: Mapping[str, str | None]) -> list[str]:
    """Return lines of shell that set variables; None as a value leaves one as it is."""
    return [
        f"export {name}={shlex.quote(value)}" for name, value in env.items() if value is not None
    ]


def run_script(
    python: str | None,
    env: Mapping[str, str | None],
    setup_commands: Sequence[str],
    where: str,
    first: Sequence[str] = (),
) -> str:
    """Return the script that finds a Python and starts the worker's first step with it.

    Parameters
    ----------
    python
        The Python to take; None for the first that is found of the launcher's version.
    env
        Environment variables to set; None as a value leaves one as it is.
    setup_commands
        Lines of shell to run before.
    where
        What it runs in, for messages.
    first
        Pythons to look for before others, where `python` is None.
    """
    names = candidates(python, first)
    lines = [
        "#!/bin/sh",
        "# Runs a pack of jobs: run.sh PACK",
        BEGIN.rstrip("\n"),
        # The user's variables may have any other name.
        "launchkit_here=$here launchkit_sweep=$sweep launchkit_pack=$1",
        *exports(env),
        # What activates an environment seldom bears that a variable has to be set.
        *(["set +u", *setup_commands] if setup_commands else []),
        f"for launchkit_python in {shlex.join(names)}; do",
        '  if command -v "$launchkit_python" >/dev/null 2>&1; then',
        '    exec "$launchkit_python" "$launchkit_here/bootstrap.py" "$launchkit_sweep" '
        '"$launchkit_pack"',
        "  fi",
        "done",
        f"echo {shlex.quote(f'launchkit: {where} has no {_either(names)}')} >&2",
        f"exit {NO_PYTHON_CODE}",
    ]
    return "\n".join(lines) + "\n"


def bare_script() -> str:
    """Return the script that runs a pack on the host's own Python."""
    return (
        "#!/bin/sh\n# Runs a pack of jobs on this machine: final_script.sh PACK\n"
        f'{BEGIN}exec "$here/run.sh" "$@"\n'
    )


def _either(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
