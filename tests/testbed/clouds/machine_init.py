"""The first process of a simulated machine: makes its disk, runs its script, and buries orphans.

Started by machine_runner.py, in namespaces of its own, with the file that tells it what to do.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

TOLD = "run/simulated-machine"
DIRECTORIES = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
SYSRQ = "proc/sysrq-trigger"
HOST = "run/simulated-machine-host"
"""The real disk, as it is; what seems to be installed comes from there."""


def main(config: Path) -> None:
    """Be the machine."""
    orders = json.loads(config.read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    root = make_disk(orders)
    add_programs(root, orders)
    name_it(root, orders)
    os.chroot(root)
    os.chdir("/")
    # A signal that another thread gets does not wake this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for work in (copy_console, obey_sysrq):
        threading.Thread(target=work, daemon=True).start()
    script = run_script(orders) if orders["script"] else None
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        reap(script)
    except SystemExit:
        stop_all(orders["grace_s"])


def make_disk(orders: dict[str, Any]) -> Path:
    """Mount what the machine sees, and return its root.

    All of this is seen by this process and its children only, and gone when they are.
    """
    directory = Path(orders["directory"])
    base = directory / "disk"
    base.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755,size=1g", "tmpfs", base)
    for name in ("upper", "work", "root"):
        (base / name).mkdir()
    root = base / "root"
    layers = f"lowerdir=/,upperdir={base}/upper,workdir={base}/work"
    mount("-t", "overlay", "-o", layers, "overlay", root)
    mount("-t", "proc", "proc", root / "proc")
    # The kernel is this machine's, and what is set there would stay.
    mount("--bind", root / "proc/sys", root / "proc/sys")
    mount("-o", "remount,bind,ro", root / "proc/sys")
    if (root / SYSRQ).exists():  # not every kernel has it
        os.mkfifo(base / "sysrq")
        mount("--bind", base / "sysrq", root / SYSRQ)
    mount("-t", "sysfs", "-o", "ro", "sysfs", root / "sys")
    mount("--rbind", "/dev", root / "dev")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run")
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", root / "tmp")
    bind(directory / "told", root / TOLD)
    bind(Path("/"), root / HOST)
    disk = root / orders["disk"].lstrip("/")
    disk.parent.mkdir(parents=True, exist_ok=True)
    # Other machines' disks are beside it.
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", disk.parent)
    bind(Path(orders["disk"]), disk)
    for path in orders["needed"]:
        if not (root / path.lstrip("/")).exists():
            bind(Path(path), root / path.lstrip("/"))
    engine = Path("/var/run/docker.sock").resolve()
    if engine.exists():
        (root / "run/docker.sock").touch()
        mount("--bind", engine, root / "run/docker.sock")
    make_console(root)
    return root


def make_console(root: Path) -> None:
    """Put a pipe where the console is: what is written there is printed."""
    pipe = root / "run/console"
    os.mkfifo(pipe)
    for name in ("console", "ttyS0"):
        target = root / "dev" / name
        if target.exists():
            mount("--bind", pipe, target)


def copy_console() -> None:
    """Print what is written to the console, as long as this process lives."""
    # Also open for writing: so it never comes to an end.
    descriptor = os.open("/run/console", os.O_RDWR)
    while data := os.read(descriptor, 65536):
        os.write(1, data)


def obey_sysrq() -> None:
    """Cut the power when that is asked of the kernel: of the real one it must not be."""
    try:
        descriptor = os.open(f"/{SYSRQ}", os.O_RDWR)
    except FileNotFoundError:
        return
    while data := os.read(descriptor, 1):
        if data in b"ob":
            new = Path(f"/{TOLD}/sysrq.new")
            new.write_text("0")
            new.rename(f"/{TOLD}/shutdown")


def add_programs(root: Path, orders: dict[str, Any]) -> None:
    """Hide programs, and put others over the machine's own."""
    places = [root / name for name in DIRECTORIES if not (root / name).is_symlink()]
    installed = root / TOLD / "install"
    # What this machine does not have at all cannot be hidden, but it can be ours.
    for name, program in orders["programs"].items():
        for place in places:
            with contextlib.suppress(FileNotFoundError):
                (place / name).unlink()
        put(root / "usr/local/bin" / name, program)
    if not any((place / "python3").exists() for place in places):
        put(root / "usr/local/bin/python3", {"link": os.path.realpath(sys.executable)})
    for place in places:
        # A directory of a thousand names: one look, and a pattern a name.
        for path in list(place.iterdir()):
            if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in orders["hide"]):
                if path.name in orders["install"]:
                    installed.mkdir(exist_ok=True)
                    # The link itself may be to what is hidden as well.
                    real = os.path.realpath(path).removeprefix(str(root))
                    text = f'#!/bin/sh\nexec /{HOST}{real} "$@"\n'
                    put(installed / path.name, {"text": text})
                path.unlink()


def put(path: Path, program: dict[str, str]) -> None:
    """Make a program: a link, or a script."""
    if "link" in program:
        path.symlink_to(program["link"])
    else:
        path.write_text(program["text"])
        path.chmod(0o755)


def name_it(root: Path, orders: dict[str, Any]) -> None:
    """Give the machine its name, and the names that it knows."""
    socket.sethostname(orders["hostname"])
    lines = ["127.0.0.1 localhost", f"127.0.1.1 {orders['hostname']}"]
    lines += [f"{address} {name}" for name, address in orders["hosts"].items()]
    hosts = root / "etc/hosts"
    hosts.unlink(missing_ok=True)
    hosts.write_text("\n".join([*lines, ""]))


def run_script(orders: dict[str, Any]) -> int:
    """Start the script as cloud-init does; return the process."""
    path = Path("/var/lib/cloud/instance/scripts/part-001")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(f"/{HOST}{orders['directory']}/user-data", path)
    path.chmod(0o700)
    process = os.fork()
    if process:
        return process
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.setsid()
        os.execve(path, [str(path)], orders["environment"])
    except OSError as error:
        os.write(2, f"user-data: {error}\n".encode())
    os._exit(126)


def reap(script: int | None) -> None:
    """Wait for children, which all orphans become, for ever; write down how the script ended."""
    while True:
        try:
            process, status = os.wait()
        except ChildProcessError:
            time.sleep(0.1)
            continue
        if process == script:
            new = Path(f"/{TOLD}/exit.new")
            new.write_text(str(os.waitstatus_to_exitcode(status)))
            new.rename(f"/{TOLD}/exit")


def stop_all(grace_s: float) -> None:
    """Ask all processes to end, and wait for that a while; what is left dies with this one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGTERM)
    limit = time.monotonic() + grace_s
    while time.monotonic() < limit:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.05)
        except ChildProcessError:
            return


def bind(source: Path, target: Path) -> None:
    """Show a directory at another place."""
    target.mkdir(parents=True, exist_ok=True)
    mount("--bind", source, target)


def mount(*words: object) -> None:
    """Mount something."""
    subprocess.run(["mount", *map(str, words)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
