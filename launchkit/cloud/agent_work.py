"""The work of a machine: it fetches what its pack needs, and runs the pack."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launchkit.cloud.agent_image import NoImage, get_image
from launchkit.cloud.agent_programs import call, docker
from launchkit.cloud.agent_storage import Storage
from launchkit.cloud.agent_sync import last_line
from launchkit.cloud.agent_tool import Tool, ToolError

LOG = logging.getLogger("launchkit.agent")

FAILED_CODE = 70
"""The exit code of a pack that could not be run."""
UNFINISHED_CODE = 75
"""The exit code of a pack that was to stop before it had begun."""
UNPACK_S = 3600.0
MISSING_S = 60.0
"""How long a bucket is asked for what it says it does not have."""


class Refusal(Exception):
    """The pack cannot be run on this machine; the message says why."""


class Stopped(Exception):
    """The work was to stop."""


class Work(threading.Thread):
    """The work, from fetching what it needs to its end.

    Parameters
    ----------
    facts
        What the machine was told.
    folder
        A directory for what is under way.
    tool
        What talks to the bucket.
    at_end
        What to call when it is over.

    Attributes
    ----------
    code
        The exit code of the pack; None until it is over.
    """

    def __init__(
        self,
        facts: "dict[str, Any]",
        folder: Path,
        tool: "Tool | Storage",
        at_end: "Callable[[], None]",
    ) -> None:
        super().__init__(daemon=True)
        self._facts = facts
        self._folder = folder
        self._tool = tool
        self._at_end = at_end
        self._own = Path(facts["root"], facts["name"], ".launchkit")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.code: int | None = None

    def run(self) -> None:
        """Do it."""
        code = FAILED_CODE
        try:
            self._fetch()
            if self._facts["image"]:
                get_image(self._facts["image"], self._folder, self._stopping)
            code = self._run_pack()
            LOG.info("pack %d has ended with code %d", self._facts["pack"], code)
        except Stopped:
            code = UNFINISHED_CODE
        except (Refusal, NoImage) as reason:
            if self._stopping.is_set():
                code = UNFINISHED_CODE
            else:
                self._refuse(str(reason))
        except Exception as error:
            LOG.exception("the pack cannot be run")
            self._refuse(f"{type(error).__name__}: {error}")
        finally:
            self.code = code
            self._at_end()

    def stop(self) -> None:
        """Have the jobs stop, soon."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is None:
            return
        containers = self._containers()
        if containers:
            docker("kill", "--signal", "TERM", *containers)
        elif process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End what still runs, at once."""
        containers = self._containers()
        if containers:
            docker("rm", "--force", *containers)
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _containers(self) -> "list[str]":
        if not self._facts["image"]:
            return []
        label = "label=launchkit.tag={}".format(self._facts["machine"])
        return docker("ps", "--all", "--quiet", "--filter", label)[1].split()

    def _fetch(self) -> None:
        """Fetch the sweep's files, and the directories of the jobs."""
        base = self._facts["base"]
        for part in ("asks", "carriers"):
            (self._own / part).mkdir(parents=True, exist_ok=True)
        self._patiently("the sweep's files", lambda: self._get_sweep(base + "/.home/sweep"))
        batch = self._folder / "batch.tar.gz"
        self._patiently(self._facts["batch"], lambda: self._tool.get(self._facts["batch"], batch))
        command = ["tar", "-xpzf", str(batch), "--no-same-owner", "-C", self._facts["root"]]
        code, said = call(command, UNPACK_S)
        if code:
            raise Refusal("the directories of the jobs cannot be unpacked: " + last_line(said))
        batch.unlink()

    def _get_sweep(self, prefix: str) -> bool:
        self._tool.get_all(prefix, self._own)
        return (self._own / "sweep.json").exists()

    def _patiently(self, what: str, fetch: "Callable[[], bool]") -> None:
        """Fetch something, again and again if the bucket does not answer."""
        began, pause = time.monotonic(), 1.0
        while True:
            try:
                problem, patience = (
                    "the bucket does not have it, or does not let the machine in",
                    MISSING_S,
                )
                if fetch():
                    return
            except ToolError as error:
                problem, patience = last_line(str(error)), 60 * self._facts["unreachable_min"]
            if time.monotonic() - began > patience:
                raise Refusal(f"{what} cannot be fetched: {problem}")
            LOG.warning("%s cannot be fetched: %s", what, problem)
            if self._stopping.wait(pause):
                raise Stopped
            pause = min(30.0, 2 * pause)

    def _run_pack(self) -> int:
        """Run the pack, and return its exit code."""
        variables = {
            "LAUNCHKIT_TAG": self._facts["machine"],
            "LAUNCHKIT_ON_SIGNAL": "preempted",
        }
        if self._facts["uses_gpu"]:
            query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(call(query)[1].split())
        pack = str(self._facts["pack"])
        output = self._own / "carriers" / (pack + ".log")
        with output.open("ab") as stream:
            with self._lock:
                if self._stopping.is_set():
                    raise Stopped
                self._process = subprocess.Popen(
                    ["/bin/sh", str(self._own / "unpacked" / "final_script.sh"), pack],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=dict(os.environ, **variables),
                    cwd=self._facts["root"],
                    start_new_session=True,
                )
            LOG.info("pack %s has begun", pack)
            code = self._process.wait()
        return code if code >= 0 else 128 - code

    def _refuse(self, message: str) -> None:
        """Leave why the pack cannot be run, where the launcher looks."""
        LOG.error("%s", message)
        path = self._own / "asks" / "{}.refused".format(self._facts["pack"])
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"error": "MachineFailed", "message": message}), encoding="utf-8")
        new.replace(path)
