"""What our plugin costs at the start of every Hydra program that has it installed.

    python benchmarks/bench_plugin_start.py [--rounds N]

Two lines. The first is what Hydra itself says it took to import the plugin's modules, in
fresh interpreters. The second is the CPU time of a whole program that does nothing, with
the plugin and without it, in turns: the difference of the two, round by round.

Whatever is installed beside Hydra is out of sight on both sides: the programs run
without site-packages, on a directory that has links to what Hydra needs, and no more.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from _measure import Limit, report
from _processes import Run, run
from _sweeps import ROOT, arguments

LIMIT_MS = 3.0
NEEDED = ("hydra", "omegaconf", "antlr4", "yaml", "_yaml", "packaging", "typing_extensions")
PLUGIN = "hydra_plugins.launchkit_launcher"

NO_OP = """
import hydra


@hydra.main(version_base=None, config_path=None)
def main(config):
    pass


if __name__ == "__main__":
    main()
"""
STATISTICS = f"""
from hydra.core.plugins import Plugins

times = Plugins.instance().get_stats().modules_import_time
print("modules", sum(name.startswith("{PLUGIN}") for name in times))
print("seconds", sum(time for name, time in times.items() if name.startswith("{PLUGIN}")))
"""


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=30, jobs=1)
    with tempfile.TemporaryDirectory(prefix="launchkit-bench-") as folder:
        machine = Machine(Path(folder))
        machine.check()
        imports = [machine.import_ms() for _ in range(given.rounds + 1)][1:]
        differences = [machine.difference_ms(turn % 2 == 0) for turn in range(given.rounds + 1)][1:]
    lines = [
        Limit("import of the plugin's modules, by Hydra's own account", imports, LIMIT_MS, "ms"),
        Limit("CPU time of a Hydra program, with less without", differences, LIMIT_MS, "ms"),
    ]
    return report("bench_plugin_start", lines, judged=given.judged)


class Machine:
    """A directory of modules with Hydra, and another one with the plugin as well."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._hydra = directory / "hydra_only"
        self._plugin = directory / "plugin"
        for modules in (self._hydra, self._plugin):
            modules.mkdir()
            for name in NEEDED:
                _link(name, modules)
        for name in ("hydra_plugins/launchkit_launcher", "launchkit"):
            leave_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self._plugin / name, ignore=leave_out)
        (directory / "no_op.py").write_text(NO_OP)
        (directory / "statistics.py").write_text(STATISTICS)

    def check(self) -> None:
        """Make sure that one side has the plugin, and the other one has not."""
        for present in (True, False):
            found = self._statistics(present)["modules"]
            if bool(found) != present:
                raise RuntimeError(f"with the plugin: {present}; modules of it found: {found}")

    def import_ms(self) -> float:
        """Return how long Hydra took to import the plugin, in a new interpreter."""
        return self._statistics(True)["seconds"] * 1e3

    def difference_ms(self, plugin_first: bool) -> float:
        """Run the program with and without the plugin; return what it costs more."""
        cpu = {
            present: self._run("no_op.py", present).cpu
            for present in (plugin_first, not plugin_first)
        }
        return (cpu[True] - cpu[False]) * 1e3

    def _statistics(self, present: bool) -> dict[str, float]:
        words = self._run("statistics.py", present).output.split()
        return {"modules": float(words[1]), "seconds": float(words[3])}

    def _run(self, program: str, present: bool) -> Run:
        env = {**os.environ, "PYTHONPATH": str(self._plugin if present else self._hydra)}
        # What is installed is compiled, once.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        output = f"hydra.run.dir={self._directory / 'output'}"
        return run([sys.executable, "-S", program, output], self._directory, env)


def _link(name: str, directory: Path) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return
    origin = Path(spec.origin)
    origin = origin.parent if origin.name == "__init__.py" else origin
    (directory / origin.name).symlink_to(origin, target_is_directory=origin.is_dir())


if __name__ == "__main__":
    raise SystemExit(main())
