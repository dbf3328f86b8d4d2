"""What launchkit itself needs travels, and is enough for a Python that has nothing."""

from __future__ import annotations

import configparser
import importlib
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from bare_python import BARE, copy_needs
from outside_programs import ROOT

import launchkit
from launchkit.outside import needs
from launchkit.outside.needs import KNOWN, Need

LAUNCHERS = {"pandas", "six"}
"""What launchkit requires and a job has no use for."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_launchkit_requires_goes_along_but_for_the_tables() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].split("\n")
    required = {re.match(r"[\w-]+", line)[0] for line in lines if line}  # type: ignore[index]
    assert required - LAUNCHERS == set(needs.DIRECT)
    found = {normal(need.dist): need.version for need in needs.needs()}
    assert found["hydra-launchkit"] == launchkit.__version__
    assert next(iter(found)) == "hydra-launchkit"
    assert {normal(name) for name in needs.DIRECT} | {"pyyaml"} <= set(found)
    assert not {*LAUNCHERS, "numpy"} & set(found)
    for name, version in list(found.items())[1:]:
        assert metadata.version(name) == version


def test_all_that_it_brings_is_known_by_name() -> None:
    tops = {module.split(".")[0] for need in needs.needs() for module in need.modules}
    assert tops - {"hydra_plugins", "pydevd_plugins"} <= KNOWN
    # What one version brings another may not.
    for name in KNOWN & tops - {"_yaml"}:
        importlib.import_module(name)


def test_only_what_any_machine_can_read_goes_along() -> None:
    names = [name for need in needs.needs() for name in need.files]
    assert [name for name in names if re.search(r"\.(so|pyd|pyc)$|__pycache__|/tests/", name)] == []
    assert "hydra/conf/__init__.py" in names
    assert any(re.fullmatch(r"hydra/.*\.yaml", name) for name in names)
    assert "hydra_plugins/launchkit_launcher/_task.py" in names
    assert "launchkit/py.typed" in names
    assert not any(name.startswith("tests/") for name in names)
    assert sum(path.stat().st_size for need in needs.needs() for path in need.files.values()) < 5e6


def test_the_copy_is_what_the_archive_would_hold(tmp_path: Path) -> None:
    found = needs.needs()
    archive = tmp_path / "archive"
    copy_needs(found, archive)
    copied = {str(path.relative_to(archive)) for path in archive.rglob("*") if path.is_file()}
    assert copied == set(needs.files(found))
    for need in found:
        top = archive / "needs" / f"{need.dist}-{need.version}"
        (dist,) = metadata.distributions(path=[str(top)])
        assert (dist.metadata["Name"], dist.version) == (need.dist, need.version)
        for name, source in need.files.items():
            assert (top / name).read_bytes() == source.read_bytes()


def test_nothing_that_was_copied_needs_anything_else(tmp_path: Path, bare_python: Path) -> None:
    """Import all that a job might, in a Python without any package, and without `yaml`'s C."""
    found = needs.needs()
    copy_needs(found, tmp_path)
    program = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import hydra, hydra.main, hydra.core.plugins, hydra.utils, hydra._internal.hydra, omegaconf
import cloudpickle, launchkit.logging, launchkit.worker, launchkit.callback, launchkit.host
import hydra_plugins.launchkit_launcher.launcher, hydra_plugins.launchkit_launcher._task
from importlib import metadata
from hydra.core.plugins import Plugins
plugins = {cls.__name__ for cls in Plugins.instance().discover()}
files = {sys.modules[name.split(".")[0]].__file__ for name in list(sys.modules)
         if name.split(".")[0] not in sys.stdlib_module_names and name != "hydra_plugins"
         and getattr(sys.modules[name.split(".")[0]], "__file__", None)}
print(json.dumps([sorted(plugins), sorted(files), metadata.version("hydra-core"),
                  omegaconf.OmegaConf.to_yaml({"a": [1]})]))
"""
    path = [str(tmp_path / "needs" / f"{need.dist}-{need.version}") for need in found]
    done = subprocess.run(
        [bare_python, *BARE, "-c", program, json.dumps(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    plugins, files, version, text = json.loads(done.stdout)
    assert any(name.startswith("Launchkit") for name in plugins)
    assert all(name.startswith(str(tmp_path)) for name in files)
    assert (version, text) == (metadata.version("hydra-core"), "a:\n- 1\n")


def test_a_distribution_that_runs_from_where_it_is_developed_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip installs it with ``-e``: its list of files has none of its own."""
    source = tmp_path / "source" / "edited_one"
    (source / "data").mkdir(parents=True)
    (source / "__init__.py").touch()
    (source / "data" / "table.csv").write_text("a,b\n")
    info = tmp_path / "site" / "edited_one-3.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: edited-one\nVersion: 3.1\n"
        "Requires-Dist: absent-one; python_version < '3'\n"
        "Requires-Dist: absent-two>=1; extra == 'more'\nRequires-Dist: packaging (>=1)\n"
    )
    (info / "RECORD").write_text(
        "__editable__.edited_one.pth,,\nedited_one-3.1.dist-info/RECORD,,\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "source")
    monkeypatch.setattr(needs, "DIRECT", ("edited_one",))
    own, edited, further = needs.needs()
    assert edited == Need(
        "edited-one",
        "3.1",
        ("edited_one",),
        {
            "edited_one/__init__.py": source / "__init__.py",
            "edited_one/data/table.csv": source / "data" / "table.csv",
        },
    )
    assert (own.dist, further.dist) == ("hydra-launchkit", "packaging")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "DIRECT", ("no-such-distribution",))
    with pytest.raises(ValueError, match="no-such-distribution, which launchkit needs"):
        needs.needs()


def test_launchkit_goes_along_from_wherever_it_runs() -> None:
    own = needs.needs()[0]
    here = Path(launchkit.__file__).parent
    assert own.files["launchkit/__init__.py"] == here / "__init__.py"
    assert set(own.modules) == {"launchkit", "hydra_plugins.launchkit_launcher"}
    assert sys.modules["launchkit"].__file__ == str(here / "__init__.py")
