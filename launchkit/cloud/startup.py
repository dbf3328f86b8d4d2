"""The programs that rented machines begin with, as text: a few lines that assign, then a script.

The scripts are the files in ``startup/``. What they are told stands before them, checked and
quoted, and none of it is secret.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from launchkit.cloud.boot import Boot

MOST_BYTES = 16_384
"""The longest user-data that EC2 takes."""

_TEXTS = {
    "store": r"(s3|gs)://[a-z0-9][a-z0-9._-]*[a-z0-9]",
    "region": r"[a-z0-9-]*",
    "base": r"[^\x00-\x1f\x7f]+",
    "name": r"[^\x00-\x1f\x7f/]+",
    "archive": r"[^\x00-\x1f\x7f]+",
    "sha256": r"[0-9a-f]{64}",
}
_NUMBERS = {"first_pack": 0, "lifetime_min": 1, "swap_mb": 0}
_IMAGE = r"[A-Za-z0-9][\w.:/@-]*"
_DIRECTIVE = "# shellcheck disable=SC2034  # not every cloud needs all of it"


def ec2(boot: Boot) -> str:
    """Return the user-data of machines of EC2.

    Raises
    ------
    ValueError
        If something in `boot` is not what it has to be, or too long.
    """
    text = _rendered("ec2.sh", boot)
    size = len(text.encode())
    if size > MOST_BYTES:
        raise ValueError(f"the user-data has {size} bytes, and EC2 takes {MOST_BYTES} at most")
    return text


def gcp(boot: Boot) -> str:
    """Return the start-up script of machines of Google Cloud; the pack is in their metadata.

    Raises
    ------
    ValueError
        If something in `boot` is not what it has to be.
    """
    return _rendered("gcp.sh", boot)


def gcp_stop() -> str:
    """Return the shutdown script of machines of Google Cloud."""
    return _script("gcp_stop.sh")


def agent_files() -> dict[str, Path]:
    """Return the files of the program that runs on machines, by their names in the archive."""
    here = Path(__file__).parent
    parts = {f"launchkit/cloud/{path.name}": path for path in sorted(here.glob("agent_*.py"))}
    return {"agent.py": here / "agent.py", **parts}


def _rendered(cloud: str, boot: Boot) -> str:
    told = [f"{name}={value}" for name, value in _told(boot).items()]
    script = _script("machine.sh") + _script(cloud)
    lines = [line for line in script.splitlines() if not re.match(r"\s*#", line)]
    return "\n".join(["#!/bin/bash", _DIRECTIVE, *told, *lines]) + "\n"


def _told(boot: Boot) -> Mapping[str, str]:
    """Return what the script is told, as words of shell."""
    values = dataclasses.asdict(boot)
    for name, pattern in _TEXTS.items():
        if not isinstance(values[name], str) or re.fullmatch(pattern, values[name]) is None:
            raise ValueError(f"a machine cannot be told that {name} is {values[name]!r}")
    for name, least in _NUMBERS.items():
        if type(values[name]) is not int or values[name] < least:
            raise ValueError(f"a machine cannot be told that {name} is {values[name]!r}")
    image = boot.image or ""
    if image and re.fullmatch(_IMAGE, image) is None:
        raise ValueError(f"image is {image!r}, which is no name of an image")
    return {
        **{name: shlex.quote(values[name]) for name in _TEXTS},
        **{name: str(values[name]) for name in _NUMBERS},
        "image": shlex.quote(image),
        "uses_gpu": str(int(boot.uses_gpu)),
        "unreachable_s": str(max(1, round(60 * boot.unreachable_min))),
        "boot": shlex.quote(json.dumps(values)),
    }


def _script(name: str) -> str:
    folder = resources.files("launchkit.cloud") / "startup"
    return (folder / name).read_text(encoding="utf-8")
