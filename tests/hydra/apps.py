"""Hydra programs, written to a temporary directory and run as a user runs them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchkit.handle import JobHandle
from launchkit.sweep import Sweep

LAUNCHERS = ("launchkit_here_no_doodad", "launchkit_local")

PROGRAM = """
    import hydra
    {imports}

    @hydra.main(version_base="1.3", config_path="conf", config_name="config")
    def main(cfg):
    {body}

    if __name__ == "__main__":
        main()
"""


SWEEPER = """
    import json
    from pathlib import Path

    from hydra._internal.core_plugins import basic_sweeper
    from hydra.core.config_store import ConfigStore
    from launchkit.handle import JobHandle

    class BasicSweeper(basic_sweeper.BasicSweeper):
        def sweep(self, arguments):
            returns = [done for batch in super().sweep(arguments) for done in batch]
            seen = [(done.status.name, done.overrides, ended(done)) for done in returns]
            Path("go").touch()
            values = [value(done.return_value) for done in returns]
            Path("seen.json").write_text(json.dumps([*zip(*zip(*seen), values)]))
            return returns

    def ended(done):
        return not isinstance(done.return_value, JobHandle) or done.return_value.state.final

    def value(returned):
        if not isinstance(returned, JobHandle):
            return returned
        returned.wait(60)
        return returned.value

    node = {
        "_target_": f"{__name__}.BasicSweeper",
        "max_batch_size": None,
        "params": None,
    }
    ConfigStore.instance().store(group="hydra/sweeper", name="recording", node=node)
"""


def wait_for(ready: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout
    while not ready():
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.02)


@dataclass
class App:
    """A Hydra program of a test."""

    directory: Path

    def write(self, body: str, config: str = "x: 0\n", imports: str = "") -> App:
        """Write ``app.py`` around the body of its task function, and its primary config."""
        body = textwrap.indent(textwrap.dedent(body).strip(), "    ")
        imports = textwrap.dedent(imports).strip()
        program = textwrap.dedent(PROGRAM).format(body=body, imports=imports)
        return self.write_program(program, config)

    def write_program(self, program: str, config: str | None = None) -> App:
        """Write ``app.py`` as it is."""
        (self.directory / "app.py").write_text(textwrap.dedent(program))
        if config is not None:
            self.config("config", config)
        return self

    def recording_sweeper(self) -> App:
        """Write a sweeper, named recording, that keeps what it gets for the jobs in a file."""
        path = self.directory / "hydra_plugins" / "recording" / "sweeper.py"
        path.parent.mkdir(parents=True)
        (path.parent / "__init__.py").touch()
        path.write_text(textwrap.dedent(SWEEPER))
        return self

    @property
    def seen(self) -> list[Any]:
        """What the recording sweeper got: status, overrides, whether it had ended, value."""
        return json.loads((self.directory / "seen.json").read_text())

    def config(self, name: str, text: str) -> App:
        """Write ``conf/<name>.yaml``."""
        path = self.directory / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return self

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "app.py", *arguments]

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run the program; its exit code must be `code`, or any but 0 if that is None."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        right = done.returncode != 0 if code is None else done.returncode == code
        assert right, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def launchkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command ``launchkit``."""
        return subprocess.run(
            [sys.executable, "-m", "launchkit.cli", *arguments],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start the program, and kill it at the end if it is still there."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def sweep(
        self, *arguments: str, launcher: str = "launchkit_local", code: int | None = 0
    ) -> Done:
        """Run a multirun into the directory ``sweep``."""
        process = self.run(
            "-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep", *arguments, code=code
        )
        return Done(process, self.directory / "sweep")


@dataclass
class Done:
    """A multirun that has ended."""

    process: subprocess.CompletedProcess[str]
    directory: Path

    @property
    def said(self) -> str:
        """What the program printed, to either stream."""
        return self.process.stdout + self.process.stderr

    @property
    def attempts(self) -> list[int]:
        """How many attempts each job has had."""
        attempts = Sweep.open(self.directory).attempts()
        return [attempts[num].attempt for num in sorted(attempts)]

    def wait(self, timeout: float = 60.0) -> list[str]:
        """Wait until no job is left to run, and return the states."""
        sweep = Sweep.open(self.directory)
        for job in sweep.jobs:
            JobHandle(sweep, job).wait(timeout)
        return self.states

    @property
    def jobs(self) -> list[Path]:
        return [job.directory for job in Sweep.open(self.directory).jobs]

    @property
    def values(self) -> list[Any]:
        return [json.loads((job / ".launchkit" / "result.json").read_text()) for job in self.jobs]

    @property
    def states(self) -> list[str]:
        attempts = Sweep.open(self.directory).attempts()
        return [attempts[num].state.value for num in sorted(attempts)]

    def log(self, num: int, name: str = "stderr") -> str:
        return (self.jobs[num] / ".launchkit" / f"{name}.log").read_text()
