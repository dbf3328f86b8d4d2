"""Programs that are swept in the modes that leave the launcher's Python."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from apps import App, Done
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from outside_modes import SSS, OutsideMode, quoted

from launchkit.handle import JobHandle
from launchkit.sweep import Sweep

SCRIPT = "launchkit_sss.sh"
PATIENCE_S = 120.0

KEEP = """
import json, os, sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

@hydra.main(version_base="1.3", config_path=None, config_name=None)
def main(cfg):
    known = HydraConfig.get()
    kept = {
        "config": OmegaConf.to_container(cfg, resolve=True),
        "name": known.job.name,
        "env": {name: value for name, value in os.environ.items() if name.startswith("KEPT_")},
        "arguments": sys.argv[1:],
    }
    Path(known.runtime.output_dir, "kept.json").write_text(json.dumps(kept), encoding="utf-8")
    return kept["config"]

if __name__ == "__main__":
    main()
"""
"""Each job keeps all that it got, in ``kept.json``, and returns its config."""

ENDS = """
import os, signal, sys

import hydra
from launchkit import logger

class Lock:
    def __reduce__(self):
        raise TypeError("a lock cannot be pickled")
    def __repr__(self):
        return "<a lock>"

@hydra.main(version_base="1.3", config_path=None, config_name=None)
def main(cfg):
    logger.record_dict({"epoch": 0, "loss": 1.5})
    logger.dump_tabular()
    print("said ü")
    if cfg.end == "raise":
        raise ValueError("boom ü\\nand more")
    if cfg.end == "exit":
        sys.exit(3)
    if cfg.end == "words":
        sys.exit("bad luck")
    if cfg.end == "at once":
        os._exit(4)
    if cfg.end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if cfg.end == "lock":
        return Lock()
    return [cfg.end, 1.5, None]

if __name__ == "__main__":
    main()
"""
"""Each job ends in the way that its override ``end`` names."""
ENDINGS = ("well", "raise", "exit", "words", "at once", "kill", "lock")


def sweep(
    app: App,
    mode: OutsideMode,
    *arguments: str,
    code: int | None = 0,
    directory: str = "sweep",
    **settings: object,
) -> Done:
    """Run a multirun of a program in a mode to its end, into a directory beside the program."""
    chosen = [*mode.flags(**settings), f"hydra.sweep.dir={quoted(directory)}"]
    wanted = 0 if mode is SSS else code
    process = app.run("-m", *chosen, *arguments, code=wanted)
    done = Done(process, app.directory / directory)
    if mode is SSS:
        carry_out(done.directory)
    return done


def carry_out(directory: Path) -> None:
    """Do what a person does with the folder that mode `sss` has written, and wait for its jobs."""
    subprocess.run(
        ["sh", SCRIPT], cwd=directory, check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    known = Sweep.open(directory)
    deadline = time.monotonic() + PATIENCE_S
    for job in known.jobs:
        while not JobHandle(known, job).state.final:
            assert time.monotonic() < deadline, f"job {job.num} has not ended"
            time.sleep(0.2)


def spells(text: str) -> bool:
    """Tell whether Hydra itself hands a string on as it is, which it does not with all."""
    parser = OverridesParser.create()
    try:
        lines = BasicSweeper.split_arguments(parser.parse_overrides([f"+v={quoted(text)}"]), None)
        value = parser.parse_override(lines[0][0][0]).value()
        return bool(OmegaConf.create({"v": value}).v == text)
    except (HydraException, OmegaConfBaseException):
        return False
