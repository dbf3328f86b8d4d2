"""What runs first there, with any Python from 3.6 on: ``python bootstrap.py SWEEP PACK``.

It lies in the unpacked archive beside ``outside.json`` and ``needs/``. It checks that what
was packed can run with this Python, puts it on the import path, and starts the host of the
pack. ``python bootstrap.py --probe SWEEP`` says what is here instead, as a line of JSON.
"""
# No `from __future__ import annotations`, which Python 3.6 lacks: what it cannot evaluate is
# in quotes. Nothing of launchkit can be imported before the import path is set.

import importlib
import importlib.util
import json
import os
import platform
import sys
import sysconfig
import traceback
from collections.abc import Callable
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - it costs an import

PYTHON_CODE = 86
PACKAGES_CODE = 87
BROKEN_CODE = 89
"""Exit codes: another Python, missing packages, an archive that cannot be used."""

PATHS = "LAUNCHKIT_PATHS"
"""The environment variable with the directories here of those of the launcher, as JSON."""


class Refused(Exception):
    """What was packed cannot run here.

    Parameters
    ----------
    error
        What kind of reason it is.
    message
        What is wrong, and what to do.
    code
        The exit code.
    """

    def __init__(self, error: str, message: str, code: int) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.code = code


def main(arguments: "list[str]") -> int:
    """Run a pack of a sweep, or say what is here, and return the exit code."""
    probing = arguments[:1] == ["--probe"]
    if len(arguments) != 2:
        sys.stderr.write("usage: bootstrap.py SWEEP PACK, or bootstrap.py --probe SWEEP\n")
        return 2
    sweep, pack = arguments
    try:
        facts = read_facts()
        if probing:
            sys.stdout.write(json.dumps(probe(facts)) + "\n")
            return 0
        run = prepare(facts)
    except Refused as reason:
        sys.stderr.write(f"launchkit: {reason.message}\n")
        if not probing:
            write_down(sweep, pack, reason)
        return reason.code
    return run([sweep, pack])


def read_facts() -> "dict[str, Any]":
    """Return what the launcher has written about itself and the sweep."""
    path = os.path.join(HERE, "outside.json")  # noqa: PTH118
    try:
        with open(path, encoding="utf-8") as stream:  # noqa: PTH123
            facts: dict[str, Any] = json.load(stream)
    except (OSError, ValueError) as error:
        raise Refused(
            "ArchiveBroken",
            f"{path} cannot be read ({error}); the archive was not unpacked whole",
            BROKEN_CODE,
        ) from None
    # What is not absolute lies in the archive.
    facts["paths"] = {here: in_archive(there) for here, there in facts.get("paths", {}).items()}
    for key in ("sys_path", "sys_path_end"):
        facts[key] = [mapped(entry, facts["paths"]) for entry in facts.get(key, [])]
    return facts


def prepare(facts: "dict[str, Any]") -> "Callable[[list[str]], int]":
    """Check what is here, set the import path, and return the function that runs a pack."""
    check_python(facts)
    set_path(facts)
    check_packages(facts)
    try:
        run: Callable[[list[str]], int] = importlib.import_module("launchkit.host").main
    except Exception as error:
        traceback.print_exc()
        raise Refused(
            type(error).__name__,
            f"launchkit cannot be imported with {sys.executable} there: {error}",
            BROKEN_CODE,
        ) from None
    return run


def check_python(facts: "dict[str, Any]") -> None:
    """Raise Refused if what the launcher has pickled is not for this Python."""
    theirs, mine = facts["python"], platform.python_version()
    if fits(facts):
        return
    wanted = minor(theirs)
    image = facts.get("image")
    raise Refused(
        "PythonDiffers",
        "Python is {} in {} and {} where the sweep was started, and what jobs run can only be "
        "read by the same minor version: {}name a Python {} there with "
        "hydra.launcher.python, or start the sweep with Python {}".format(
            mine,
            f"{image} ({sys.executable})" if image else sys.executable,
            theirs,
            f"take an image with Python {wanted}, " if image else "",
            wanted,
            minor(mine),
        ),
        PYTHON_CODE,
    )


def fits(facts: "dict[str, Any]") -> bool:
    """Tell whether this Python is of the launcher's minor version."""
    return minor(facts["python"]) == minor(platform.python_version())


def minor(version: str) -> str:
    """Return the first two numbers of a version."""
    return ".".join(version.split(".")[:2])


def set_path(facts: "dict[str, Any]") -> None:
    """Put what came along on the import path, for this process and those it starts."""
    # The directory of this file, which Python has put there, is none of theirs.
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != HERE]  # noqa: PTH100
    needs = needed(facts["needs"]) if fits(facts) else []
    first = needs + facts["sys_path"]
    last = [entry for entry in facts["sys_path_end"] if entry not in first]
    sys.path[:] = first + [entry for entry in sys.path if entry not in first] + last
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # An entry with a colon cannot be said there; the jobs of a pack have it by `sys.path`.
    added = [entry for entry in first if os.pathsep not in entry]
    whole = added + [entry for entry in inherited if entry and entry not in added]
    os.environ["PYTHONPATH"] = os.pathsep.join(whole)
    os.environ[PATHS] = json.dumps(facts["paths"])
    importlib.invalidate_caches()


def needed(needs: "list[list[str]]") -> "list[str]":
    """Return where those of launchkit's needs are that are not here, or not the same."""
    own = needs[:1]
    others = [[dist, version] for dist, version in needs[1:] if version_here(dist) != version]
    return [
        os.path.join(HERE, "needs", f"{dist}-{version}")  # noqa: PTH118
        for dist, version in own + others
    ]


def version_here(dist: str) -> "str | None":
    """Return the version of a distribution that is installed here; None if it is not."""
    from importlib import metadata  # noqa: PLC0415 - Python 3.8 is the first to have it

    try:
        return metadata.version(dist)
    except metadata.PackageNotFoundError:
        return None


def check_packages(facts: "dict[str, Any]") -> None:
    """Raise Refused if a package is not here that the user's code imports."""
    missing = missing_packages(facts)
    if not missing:
        return
    names = ", ".join("{} {}".format(*item).strip() for item in sorted(missing.items()))
    image = facts.get("image")
    raise Refused(
        "PackagesMissing",
        "the code of the sweep imports {}, which {} lacks (the versions are the launcher's): "
        "{}, or add the directory of their code to hydra.launcher.code_dirs".format(
            names,
            f"{image} ({sys.executable})" if image else sys.executable,
            "take an image that has them" if image else "install them there",
        ),
        PACKAGES_CODE,
    )


def missing_packages(facts: "dict[str, Any]") -> "dict[str, str]":
    """Return the packages that the user's code imports and that are not here."""
    return {
        name: version for name, version in facts.get("packages", {}).items() if not is_here(name)
    }


def is_here(name: str) -> bool:
    """Tell whether a package can be found; of a regular one nothing is run for that."""
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        # What is around it is missing, or is no package here.
        return False


def probe(facts: "dict[str, Any]") -> "dict[str, Any]":
    """Return what is here, as far as it can be told without running the user's code."""
    set_path(facts)
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "stdlib": sysconfig.get_path("stdlib"),
        "missing": missing_packages(facts),
        "cores": None,
        "gpus": None,
    }
    try:
        placement = importlib.import_module("launchkit.machine.placement")
    except (ImportError, SyntaxError):  # another Python, or launchkit did not come along
        pass
    else:
        found["cores"] = placement.usable_cores()
        found["gpus"] = list(placement.find_gpus())
    return found


def write_down(sweep: str, pack: str, reason: Refused) -> None:
    """Leave the reason where the launcher reads it, as well as that can be done."""
    folder = os.path.join(sweep, ".launchkit", "asks")  # noqa: PTH118
    path = os.path.join(folder, pack + ".refused")  # noqa: PTH118
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    try:
        if not os.path.isdir(folder):  # noqa: PTH112
            os.mkdir(folder, 0o700)  # noqa: PTH102
        with open(temporary, "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump({"error": reason.error, "message": reason.message}, stream)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        sys.stderr.write(f"launchkit: {path} cannot be written: {error}\n")


def mapped(entry: str, paths: "dict[str, str]") -> str:
    """Return where a directory of the launcher's is here; itself, if it did not come along."""
    around = [top for top in paths if entry == top or entry.startswith(top.rstrip("/") + "/")]
    if not around:
        return entry
    top = max(around, key=len)
    return os.path.normpath(os.path.join(paths[top], entry[len(top) :].lstrip("/")))  # noqa: PTH118


def in_archive(path: str) -> str:
    """Return a path; one that is not absolute is relative to the unpacked archive."""
    return os.path.normpath(os.path.join(HERE, path))  # noqa: PTH118


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
