"""Machines that are rented from a simulated cloud: each runs its script for real, as root.

A machine is a set of namespaces: its own network, with the cloud's metadata service on
169.254.169.254, its own processes, and its own view of this machine's disk, in which everything
may be written, and is forgotten at its end. Only what is below its directory in
``/var/lib/launchkit`` is also on the real disk, because the Docker engine is this machine's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine_containers
import machine_network
import machine_programs
from machine_metadata import MetadataService

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication  # of Python 3.11 and later

DISKS = Path("/var/lib/launchkit")
KEEP = "LAUNCHKIT_TESTBED_KEEP"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Read once: the daemon may live longer than the checkout that it was started from.
_INIT = Path(__file__).with_name("machine_init.py").read_text()
_TICK_S = 0.05
_REMEMBERED = 200
"""So many machines' console logs are kept."""


@dataclasses.dataclass(frozen=True)
class MachineOptions:
    """What a machine is like.

    Parameters
    ----------
    environment
        The environment of its script, beside PATH.
    programs
        Programs it has beside this machine's own: a path to link to, or a script's text.
    hide
        Names, also as patterns, of programs that it does not have.
    install
        Names of hidden programs that its package managers can install.
    hosts
        Names and their addresses, for its /etc/hosts.
    hostname
        Its name; by default its id.
    slow_start_s
        Seconds from its start until its script runs.
    minute_s
        Seconds in a minute of ``shutdown +N``.
    grace_s
        Seconds that its processes are given when it shuts down, before they are killed.
    last_script
        What it runs when it shuts down, before its processes are asked to end.
    last_script_s
        Seconds that this may take.
    """

    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    programs: Mapping[str, Path | str] = dataclasses.field(default_factory=dict)
    hide: Sequence[str] = ()
    install: Sequence[str] = ()
    hosts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hostname: str = ""
    slow_start_s: float = 0.0
    minute_s: float = 60.0
    grace_s: float = 5.0
    last_script: bytes = b""
    last_script_s: float = 90.0


class SimulatedMachine:
    """A machine; it runs from `start` until it shuts itself down, or is ended, or killed.

    Parameters
    ----------
    id
        Its name, unlike that of any other, of whichever cloud.
    script
        What it runs when it has started; nothing unless it begins with ``#!``, as cloud-init
        has it. It may be compressed by gzip.
    metadata
        The WSGI application that answers on 169.254.169.254, port 80.
    directory
        Where machines are kept; each has a directory of its own in it.
    options
        What it is like.
    on_end
        Called once when it is gone, in a thread of its own, with the machine and how it ended:
        ``shutdown`` (by itself), ``ended`` (by `end`), ``killed``, or ``failed`` (it never ran).
    """

    def __init__(
        self,
        id: str,
        script: bytes,
        metadata: WSGIApplication,
        directory: Path,
        options: MachineOptions | None = None,
        on_end: Callable[[SimulatedMachine, str], None] | None = None,
    ) -> None:
        self.id = id
        self.script = gzip.decompress(script) if script[:2] == b"\x1f\x8b" else script
        self.metadata = metadata
        self.directory = directory / id
        self.options = options or MachineOptions()
        self.on_end = on_end
        self.state = "starting"
        self.how = ""
        self.started = time.time()
        self.address = ""
        self.disk = DISKS / id
        self._network: machine_network.Network | None = None
        self._service: MetadataService | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._wish = threading.Event()
        self._lock = threading.Lock()
        self._gone = threading.Event()

    @property
    def console(self) -> Path:
        """The file of all that it has printed."""
        return self.directory / "console.log"

    @property
    def exit_code(self) -> int | None:
        """What its script has returned; None as long as it runs."""
        try:
            return int((self.directory / "told" / "exit").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def start(self) -> None:
        """Start it; returns at once."""
        shutil.rmtree(self.directory, ignore_errors=True)
        (self.directory / "told").mkdir(parents=True)
        self.console.touch()
        threading.Thread(target=self._live, name=f"machine {self.id}", daemon=True).start()

    def end(self) -> None:
        """Shut it down as its power button does; returns at once."""
        self._wish_for("ended")

    def kill(self) -> None:
        """End it without a word; returns at once."""
        self._wish_for("killed")

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it is gone, and `on_end` has returned; tell whether it is."""
        return self._gone.wait(timeout)

    def cut_network(self) -> None:
        """Cut it off; it goes on, and its metadata service does, too."""
        if self._network is not None:
            self._network.cut()

    def mend_network(self) -> None:
        """Connect it again."""
        if self._network is not None:
            self._network.mend()

    def run(self, script: bytes, timeout: float) -> int | None:
        """Run another script on it, and return its code; None if it does not end in time."""
        process = self._process
        if process is None or (init := _child(process.pid)) is None:
            return None
        path = self.directory / "told" / f"script-{time.monotonic_ns()}"
        path.write_bytes(script)
        path.chmod(0o700)
        words = ["nsenter", "--target", str(init), "--all", "--root", "--wdns=/", "--"]
        words += [f"/run/simulated-machine/{path.name}"]
        with self.console.open("ab") as console, contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                words,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                timeout=timeout,
                check=False,
            ).returncode
        return None

    def status(self, tail: int = 4000) -> dict[str, Any]:
        """Describe it for people and tests, with the last bytes of its console."""
        text = b""
        with contextlib.suppress(FileNotFoundError):
            text = self.console.read_bytes()[-tail:]
        return {
            "id": self.id,
            "running": not self._gone.is_set(),
            "state": self.state,
            "how": self.how,
            "started": self.started,
            "address": self.address,
            "exit": self.exit_code,
            "log": text.decode(errors="replace"),
        }

    def _wish_for(self, how: str) -> None:
        with self._lock:
            # A machine that is shutting down can still be killed.
            if self.how in ("", "shutdown", "ended") and self.state != "gone":
                self.how = how
        self._wish.set()

    def _environment(self) -> dict[str, str]:
        return {"PATH": SYSTEM_PATH, **self.options.environment}

    def _live(self) -> None:
        try:
            if not self._wish.wait(self.options.slow_start_s):
                self._boot()
                self._watch()
        except Exception as error:
            self.how = self.how or "failed"
            with self.console.open("a") as console:
                console.write(f"simulated machine: {error}\n")
        finally:
            self._bury()

    def _boot(self) -> None:
        self._network = machine_network.connect()
        self.address = self._network.address
        (self.directory / "network").write_text(self._network.name)
        self._service = MetadataService(self.metadata, self._network)
        self.disk.mkdir(parents=True, exist_ok=True)
        init = self.directory / "init.py"
        init.write_text(_INIT)
        config = self.directory / "init.json"
        config.write_text(json.dumps(self._orders()))
        words = ["nsenter", f"--net={self._network.path}", "unshare"]
        words += ["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                [*words, sys.executable, "-I", "-S", str(init), str(config)],
                env={"PATH": SYSTEM_PATH},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        (self.directory / "pid").write_text(str(self._process.pid))
        self.state = "running"

    def _orders(self) -> dict[str, Any]:
        options = self.options
        script = self.directory / "user-data"
        script.write_bytes(self.script)
        return {
            "directory": str(self.directory),
            "disk": str(self.disk),
            "hostname": options.hostname or self.id,
            "hosts": dict(options.hosts),
            "environment": self._environment(),
            "script": self.script.startswith(b"#!"),
            "hide": list(options.hide),
            "install": list(options.install),
            "grace_s": options.grace_s,
            "programs": machine_programs.all_of(options.programs, options.minute_s),
            "needed": [str(path) for path in _needed(options.programs)],
        }

    def _watch(self) -> None:
        assert self._process is not None
        while self._process.poll() is None:
            if self._shutdown_is_due():
                self._wish_for("shutdown")
            if self.how:
                self.state = "ending"
                self._end_processes()
                return
            self._wish.wait(_TICK_S)
        # What the kernel does to the first process where another calls reboot(2).
        powered_off = self._process.returncode in (-signal.SIGINT, -signal.SIGHUP)
        self.how = self.how or ("shutdown" if powered_off else "failed")

    def _shutdown_is_due(self) -> bool:
        try:
            due = float((self.directory / "told" / "shutdown").read_text())
        except (FileNotFoundError, ValueError):
            return False
        return time.time() >= due

    def _end_processes(self) -> None:
        assert self._process is not None
        self._run_last_script()
        limit = time.monotonic() + self.options.grace_s + 1
        while self.how != "killed" and self._process.poll() is None and time.monotonic() < limit:
            # Again and again: one that has just begun does not hear it yet.
            if (init := _child(self._process.pid)) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(init, signal.SIGTERM)
            time.sleep(_TICK_S)
        # Its child, and so all of the machine, dies with it.
        self._process.kill()
        self._process.wait()

    def _run_last_script(self) -> None:
        script, limit = self.options.last_script, self.options.last_script_s
        if not script or self.how == "killed":
            return
        thread = threading.Thread(target=self.run, args=(script, limit), daemon=True)
        thread.start()
        while thread.is_alive() and self.how != "killed":
            thread.join(_TICK_S)

    def _bury(self) -> None:
        self.state = "ending"
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
        machine_containers.remove(self.disk)
        if self._service is not None:
            self._service.close()
        if self._network is not None:
            self._network.remove()
        if not os.environ.get(KEEP):
            shutil.rmtree(self.disk, ignore_errors=True)
        (self.directory / "pid").unlink(missing_ok=True)
        self.state = "gone"
        try:
            if self.on_end is not None:
                self.on_end(self, self.how or "failed")
        finally:
            self._gone.set()
            # Who asked for a container just before the end may have got it after our look.
            time.sleep(2)
            machine_containers.remove(self.disk)
            if not os.environ.get(KEEP):
                shutil.rmtree(self.disk, ignore_errors=True)


def clean(directory: Path) -> None:
    """End the machines that a former daemon has left in a directory, and forget the oldest."""
    for path in sorted(directory.glob("*/pid")):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text())
            if str(path.parent).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            machine_network.remove((path.parent / "network").read_text())
        machine_containers.remove(DISKS / path.parent.name)
        shutil.rmtree(DISKS / path.parent.name, ignore_errors=True)
        path.unlink(missing_ok=True)
    known = sorted(directory.glob("*/"), key=lambda path: path.stat().st_mtime)
    for path in known[:-_REMEMBERED]:
        shutil.rmtree(path, ignore_errors=True)


def _child(pid: int) -> int | None:
    """Return the first process of the machine whose namespaces another process has made."""
    with contextlib.suppress(OSError):  # it has ended
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None


def _needed(programs: Mapping[str, Path | str]) -> list[Path]:
    """Return the directories that a machine must see, wherever they are mounted."""
    paths = {Path(sys.prefix), Path(sys.base_prefix)}
    paths |= {value.parent for value in programs.values() if isinstance(value, Path)}
    return sorted(paths)
