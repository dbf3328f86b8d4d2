"""Hydra programs, written to a temporary directory and run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
