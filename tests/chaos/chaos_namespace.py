"""Programs in namespaces of their own, where they may mount file systems and give out ids."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chaos_programs import HERE, PATIENCE_S, environment

MOUNTS = ("unshare", "--map-root-user", "--mount")
PROCESSES = (*MOUNTS, "--pid", "--fork", "--kill-child", "--mount-proc")


@functools.cache
def refused(namespace: tuple[str, ...]) -> str:
    """Return why this machine gives no such namespace; empty where it does."""
    try:
        done = subprocess.run(
            [*namespace, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True
        )
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def run(namespace: tuple[str, ...], program: str, *arguments: Any) -> Any:
    """Run a program beside this one, and return what it printed last, which is JSON."""
    done = subprocess.run(
        [*namespace, sys.executable, str(HERE / program), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
        timeout=3 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def read_only(path: Path) -> None:
    """Let nobody write below a directory, root neither."""
    mount("--bind", path, path)
    mount("-o", "remount,bind,ro", path)


def writable(path: Path) -> None:
    subprocess.run(["umount", str(path)], check=True)
