"""The logger travels light: it runs in images that have nothing but Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
from launchkit.logging import logger
from launchkit.logging.variant import write_variant
logger.open(sys.argv[2])
logger.record_dict({"a": 1.0, "b": None})
logger.record_tabular_misc_stat("c", [1, 2])
logger.dump_tabular()
logger.save_itr_params(0, [1])
write_variant(sys.argv[2] + "/variant.json", {"a": {1, 2}})
logger.close()
print(json.dumps(sorted({name.split(".")[0] for name in set(sys.modules) - before})))
"""


def test_the_logger_needs_nothing_but_the_standard_library(tmp_path):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT), str(tmp_path / "run")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(eval(done.stdout.splitlines()[-1]))
    assert loaded <= {*sys.stdlib_module_names, "launchkit"}
    assert not loaded & {"multiprocessing", "asyncio", "http", "statistics", "csv", "decimal"}
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {"debug.log", "progress.csv", "params.pkl", "variant.json"}


def test_importing_it_loads_nothing_that_is_only_needed_later():
    slow = ["dataclasses", "inspect", "logging", "pickle", "csv", "omegaconf", "numpy"]
    code = f"import sys, launchkit.logging; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
