"""What a sweep's folder holds that is carried to a cluster: a script and a page, as text."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from launchkit.doodad.archive import unpack_command

SUBMIT = "launchkit_sss.sh"
README = "README.txt"
SUBMITTED = ".launchkit/submitted"

SCRIPT = """\
#!/bin/sh
# Submits the jobs of this sweep to Slurm, from wherever this folder is: sh @SUBMIT@
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd -- "$here"
if [ -e @SUBMITTED@ ]; then
  echo "launchkit: these jobs were submitted before, see $here/@SUBMITTED@" >&2
  echo "If they have ended, and some have not completed: rm it, and run this again." >&2
  exit 1
fi
if ! command -v sbatch >/dev/null 2>&1; then
  echo "launchkit: there is no sbatch here; run this where jobs can be submitted to Slurm" >&2
  exit 127
fi
if [ ! -d .launchkit/unpacked ]; then
  rm -rf .launchkit/unpacked.partial
  @UNPACK@
  mv .launchkit/unpacked.partial .launchkit/unpacked
fi
mkdir -p -m 700 .launchkit/carriers
submit() {
  id=$(sbatch --parsable --chdir="$here" "$@")
  echo "$id" >>@SUBMITTED@
  echo "submitted array $id"
}
@SUBMISSIONS@
"""


def submit_script(submissions: Sequence[Sequence[str]]) -> str:
    """Return the script that submits a sweep's arrays where the folder is.

    Parameters
    ----------
    submissions
        The arguments of ``sbatch`` for each array, paths relative to the folder.
    """
    unpack = unpack_command(".launchkit/archive.dar", ".launchkit/unpacked.partial")
    filled = {
        "@SUBMIT@": SUBMIT,
        "@SUBMITTED@": SUBMITTED,
        "@UNPACK@": shlex.join(unpack),
    }
    text = SCRIPT
    for name, value in filled.items():
        text = text.replace(name, value)
    lines = "\n".join(shlex.join(["submit", *arguments]) for arguments in submissions)
    return text.replace("@SUBMISSIONS@", lines)


def readme(sweep: Path, jobs: int, image: str | None, cancel: str) -> str:
    """Return what is to be done with the folder.

    Parameters
    ----------
    sweep
        The folder, here.
    jobs
        How many jobs it carries.
    image
        The image that the nodes are to have, if there is one.
    cancel
        The name of the arrays in Slurm.
    """
    here, name = str(sweep), sweep.name
    # A shell on the cluster reads the remote names again.
    quoted = shlex.quote(shlex.quote(name)) if shlex.quote(name) != name else name
    needs = (
        f"The nodes need singularity or apptainer, and the image {image}"
        if image
        else "The nodes need the Python of the version that made this folder (see python, "
        "setup_commands)"
    )
    return f"""\
This folder is a launchkit sweep: {jobs} job{"s" * (jobs != 1)} for Slurm on another machine.

Carry it there and submit it (CLUSTER is the name that ssh knows the login node by):

  rsync -a {shlex.quote(here)} CLUSTER:
  ssh CLUSTER sh {quoted}/{SUBMIT}

Bring the results home, as often as you like, while jobs run and at the end:

  rsync -a --exclude=.launchkit/unpacked CLUSTER:{quoted}/ {shlex.quote(here)}/
  launchkit status {shlex.quote(here)}

{needs}; and the folder must be on a disk that all of them see.
To end the jobs: ssh CLUSTER scancel --name={cancel}
To run again what has not completed, once all jobs have ended and their results are home:
launchkit resume {shlex.quote(here)}, which prepares the folder anew for the commands above.
"""
