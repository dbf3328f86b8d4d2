"""The app that the launchers' benchmarks sweep, and the command of each launcher."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from _processes import Run, RunFailed, run

ROOT = Path(__file__).parents[1]
LOCAL = ("hydra/launcher=launchkit_local", "hydra.launcher.n_jobs=2")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
BASIC = ("hydra/launcher=basic",)

NO_OP = """
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    pass


if __name__ == "__main__":
    main()
"""


def arguments(description: str | None, *, rounds: int, jobs: int) -> argparse.Namespace:
    """Read ``--rounds`` and ``--jobs``; `judged` tells whether the requirement applies.

    It is one on so many jobs and rounds: with fewer, a program only shows that it runs.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="measured rounds of each side")
    parser.add_argument("--jobs", type=int, default=jobs, help="jobs of a sweep")
    given = parser.parse_args()
    given.judged = given.rounds >= rounds and given.jobs == jobs
    return given


def sizes_given(
    description: str | None, sizes: Sequence[int], *, rounds: int
) -> argparse.Namespace:
    """Read ``--rounds`` and the sizes of sweeps: ``--sizes``, or ``--jobs`` for two of them."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="measured rounds of each size")
    parser.add_argument("--jobs", type=int, help="measure this many, and half as many")
    parser.add_argument("--sizes", help="numbers of jobs, ascending, with commas")
    given = parser.parse_args()
    if given.sizes:
        given.sizes = [int(size) for size in given.sizes.split(",")]
    else:
        given.sizes = [given.jobs // 2, given.jobs] if given.jobs else list(sizes)
    if len(given.sizes) < 2:
        parser.error("--sizes needs two numbers at least")
    return given


def need_peer(distribution: str) -> None:
    """Stop with what to do where the peer is not installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(
            f"{distribution} is not installed: pip install 'hydra-launchkit[bench]'"
        ) from None


class App:
    """A Hydra app in a directory of its own, under git as an app usually is.

    Parameters
    ----------
    directory
        Where to write it.
    program
        The text of its program.
    modules
        The text of other modules, by file name.

    Attributes
    ----------
    directory
        Where it is.
    env
        The environment of its runs.
    """

    def __init__(
        self, directory: Path, program: str = NO_OP, modules: dict[str, str] | None = None
    ) -> None:
        self.directory = directory
        self._sweeps = 0
        (directory / "conf").mkdir(parents=True)
        (directory / "conf/config.yaml").write_text("x: 0\nlr: 0.1\nname: no-op\n")
        (directory / ".gitignore").write_text("sweep*/\noutput.log\n")
        for name, text in {"app.py": program, **(modules or {})}.items():
            (directory / name).write_text(text)
        git = ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", "-C", str(directory)]
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "app"]):
            subprocess.run([*git, *words], check=True)
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }

    def sweep(self, launcher: tuple[str, ...], jobs: int, *, sample_memory: bool = False) -> Sweep:
        """Run a sweep of so many jobs, and check that each has run."""
        command, directory = self.command(launcher, jobs)
        done = run(command, self.directory, self.env, sample_memory=sample_memory)
        _check(directory, jobs, done)
        return Sweep(done, directory)

    def command(self, launcher: tuple[str, ...], jobs: int) -> tuple[list[str], Path]:
        """Return the words that run a sweep of so many jobs, and its directory."""
        self._sweeps += 1
        directory = self.directory / f"sweep{self._sweeps}"
        # A list, so that one job is a sweep too.
        values = ",".join(map(str, range(jobs))) if jobs > 1 else "choice(0)"
        words = [sys.executable, "app.py", "-m", f"x={values}", f"hydra.sweep.dir={directory}"]
        return [*words, *launcher], directory

    def once(self, *, sample_memory: bool = False) -> Run:
        """Run the program once, without a launcher."""
        self._sweeps += 1
        place = f"hydra.run.dir={self.directory / f'sweep{self._sweeps}'}"
        command = [sys.executable, "app.py", place]
        return run(command, self.directory, self.env, sample_memory=sample_memory)


class Sweep:
    """A sweep that has run."""

    def __init__(self, run: Run, directory: Path) -> None:
        self.run = run
        self.directory = directory

    def discard(self) -> None:
        """Remove its files: of ten thousand jobs they are many."""
        shutil.rmtree(self.directory)


@contextlib.contextmanager
def app(program: str = NO_OP, modules: dict[str, str] | None = None) -> Iterator[App]:
    """Make an app, and remove it with all its sweeps at the end."""
    with tempfile.TemporaryDirectory(prefix="launchkit-bench-") as folder:
        yield App(Path(folder) / "app", program, modules)


def _check(directory: Path, jobs: int, done: Run) -> None:
    """Count the jobs that Hydra ran, and of ours those that say they completed."""
    ran = len(list(directory.glob("*/.hydra/overrides.yaml")))
    states = [json.loads(p.read_text())["state"] for p in directory.glob("*/.launchkit/state.json")]
    if ran != jobs or (states and states != ["completed"] * jobs):
        raise RunFailed(f"{ran} of {jobs} jobs ran, states {set(states)}:\n{done.output[-4000:]}")
