"""The program of the comparison: jobs that keep a journal, and go wrong when they are told to.

It knows Hydra only, so that every launcher runs the same; `launchkit.restore` where it is there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=None)
def main(cfg: DictConfig) -> Any:
    """Run a job of some steps, each of which is a line of its journal."""
    journal = Path(cfg.journal) / f"{cfg.x}.jsonl"
    start = 1 + sum('"start"' in line for line in _lines(journal))
    _note(journal, event="start", cuda=os.environ.get("CUDA_VISIBLE_DEVICES"))
    print(f"output of job x={cfg.x} start={start}", flush=True)  # noqa: T201 - the job's output
    for step in range(cfg.steps):
        time.sleep(cfg.pause)
        _note(journal, event="step", step=step)
    bad = [cfg.bad] if isinstance(cfg.bad, int) else list(cfg.bad)
    goes_wrong = cfg.x in bad and start <= cfg.bad_starts
    if goes_wrong:
        _go_wrong(cfg.how)
    where = HydraConfig.get()
    _note(journal, event="end", num=where.job.num, directory=where.runtime.output_dir)
    # Nothing can pickle a lock.
    return threading.Lock() if goes_wrong and cfg.how == "return a lock" else int(cfg.x)


def _go_wrong(how: str) -> None:
    if how == "raise":
        raise ValueError("boom")
    if how == "exit":
        sys.exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(600)


def _lines(journal: Path) -> list[str]:
    return journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []


def _note(journal: Path, **entry: object) -> None:
    line = json.dumps({"time": time.time(), "pid": os.getpid(), **entry})
    with journal.open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


if __name__ == "__main__":
    main()
