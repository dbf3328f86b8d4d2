"""The commands that begin and resume the sweep of a round."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

JOBS, STEPS, PAUSE_S = 4, 6, 0.03


@dataclass(frozen=True)
class Commands:
    """The commands of one sweep, whose jobs are started by this method and tried so often."""

    sweep: Path
    ledger: Path
    method: str
    retries: int

    def resume(self, detached: bool) -> list[str]:
        """Resume it with what its directory holds."""
        detach = ["--detach"] if detached else []
        return [sys.executable, "-m", "launchkit.cli", "resume", str(self.sweep), *detach]

    def engine(self, detached: bool) -> list[str]:
        """Begin it, or take it up, with the engine itself."""
        options = [f"--method={self.method}", f"--retries={self.retries}", f"--jobs={JOBS}"]
        options += [f"--steps={STEPS}", f"--pause={PAUSE_S}"]
        options += ["--detach"] if detached else []
        program = str(HERE / "chaos_engine.py")
        return [sys.executable, program, str(self.sweep), str(self.ledger), *options]

    def hydra(self, detached: bool) -> list[str]:
        """Begin it, or take it up, with a Hydra program."""
        begun = (self.sweep / ".launchkit" / "sweep.json").exists()
        return [
            sys.executable,
            str(HERE / "chaos_hydra.py"),
            "-m",
            "+x=" + ",".join(map(str, range(JOBS))),
            f"+ledger={self.ledger}",
            f"+steps={STEPS}",
            f"+pause={PAUSE_S}",
            "hydra/launcher=launchkit_local",
            "hydra/callbacks=launchkit",
            f"hydra.sweep.dir={self.sweep}",
            "hydra.launcher.n_jobs=2",
            f"hydra.launcher.start_method={self.method}",
            f"hydra.launcher.max_retries={self.retries}",
            "hydra.launcher.retry_delay_s=0",
            f"hydra.launcher.detach={str(detached).lower()}",
            f"hydra.launcher.resume={str(begun).lower()}",
        ]
