"""doodad's Slurm mode, made to write one script for a whole array."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from launchkit import files
from launchkit.doodad import engine
from launchkit.doodad.engine import Doodad


def write_script(path: Path, text: str) -> None:
    """Write a script for ``sbatch`` where doodad's mode puts it.

    Parameters
    ----------
    path
        Where it is to be.
    text
        What is in it.

    Raises
    ------
    DoodadMissing
        If there is no doodad.
    OSError
        If it cannot be written.
    """
    _mode_class(engine.load())(path).run_script(text)


@functools.cache
def _mode_class(doodad: Doodad) -> Any:
    base: Any = doodad.mode.SlurmScriptMode

    class ArrayScriptMode(base):  # type: ignore[misc]  # doodad has no types
        def __init__(self, path: Path) -> None:
            # What it makes of these is an sbatch a job, which is not asked for.
            super().__init__(
                str(path.parent),
                account_name=None,
                partition=None,
                time_in_mins=None,
                max_num_cores_per_node=1,
                slurm_script_filename=path.name,
            )

        def save_job_script(self, script: str) -> None:
            """Copy nothing: the archive is in its place."""

        def create_slurm_script(self, script: str) -> str:
            files.write_atomic(self.slurm_script_file_path, script, mode=0o600)
            return script

    return ArrayScriptMode
