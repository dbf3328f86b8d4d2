"""What is tried with each launcher; each trial returns plain facts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launchers import Launcher
from trial import Trial, trial

Facts = dict[str, Any]
Scenario = Callable[[Launcher, Path], Facts]


def _bad_job(how: str) -> Scenario:
    def scenario(launcher: Launcher, python: Path) -> Facts:
        with trial(python, launcher.base) as t:
            code, seconds = t.run(t.command("+bad=1", f"+how={how}"))
            return {
                "others_ended": t.ended(but=1),
                "starts": t.count("start"),
                "exit_code": code,
                "seconds": seconds,
            }

    return scenario


def terminal_closes(launcher: Launcher, python: Path) -> Facts:
    """The terminal of the launcher is closed while jobs run."""
    with trial(python, launcher.base) as t:
        setting = launcher.settings.get("detach", ())
        _, master = t.in_terminal(t.command("+steps=4", *setting))
        t.wait_for(lambda: len(t.count("step")) >= 2)
        os.close(master)
        t.wait_until_quiet()
        return {"setting": setting, "ended": t.ended(), "of": 4, "left": len(t.processes())}


def launcher_is_killed(launcher: Launcher, python: Path) -> Facts:
    """The launcher is killed by SIGKILL while jobs run, and the sweep is then run again."""
    with trial(python, launcher.base) as t:
        process = t.start(t.command("+steps=4"))
        t.wait_for(lambda: sum(t.count("step").values()) >= 2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        began = {x for x, count in t.count("start").items() if count}
        t.wait_until_quiet()
        facts: Facts = {
            "running_when_killed": len(began),
            "of_these_ended": t.ended(),
            "left": len(t.processes()),
        }
        again = launcher.settings.get("again", ())
        code, _ = t.run(t.command("+steps=4", *again))
        return {
            **facts,
            "again": again,
            "again_exit_code": code,
            "ended": t.ended(),
            "ends": t.count("end"),
            "starts": t.count("start"),
        }


def only_what_failed(launcher: Launcher, python: Path) -> Facts:
    """A job has failed; the sweep is run again."""
    with trial(python, launcher.base) as t:
        again = launcher.settings.get("again", ())
        t.run(t.command("+bad=1", "+bad_starts=1"))
        code, _ = t.run(t.command("+bad=1", "+bad_starts=1", *again))
        facts = {"again": again, "exit_code": code, "starts": t.count("start")}
        where = [entry for entry in t.journal()[1] if entry["event"] == "end"]
        facts["directory_of_job_1"] = Path(where[-1]["directory"]).name if where else None
        return facts


def alone_by_hand(launcher: Launcher, python: Path) -> Facts:
    """Only the job that failed is started again, by writing its override."""
    with trial(python, launcher.base) as t:
        t.run(t.command("+bad=1", "+bad_starts=1"))
        t.run(t.command("+bad=1", "+bad_starts=1", x="1"))
        where = [entry for entry in t.journal()[1] if entry["event"] == "end"]
        return {"directory": Path(where[-1]["directory"]).name if where else None}


def _retries(how: str) -> Scenario:
    def scenario(launcher: Launcher, python: Path) -> Facts:
        with trial(python, launcher.base) as t:
            setting = launcher.settings.get("retries", ())
            code, _ = t.run(t.command("+bad=1", "+bad_starts=1", f"+how={how}", *setting))
            return {
                "setting": setting,
                "starts": t.count("start").get(1, 0),
                "ended": t.ended(),
                "exit_code": code,
                "outputs_in_files": _outputs(t),
            }

    return scenario


def _outputs(t: Trial) -> list[str]:
    """Return the files that hold what each start of job 1 printed, launcher's output aside."""
    found = []
    for path in sorted(t.sweep.rglob("*")):
        if path.is_file():
            text = path.read_bytes().decode(errors="replace")
            found += [
                f"{path.relative_to(t.sweep)}: start={start}"
                for start in (1, 2)
                if f"output of job x=1 start={start}" in text
            ]
    return found


def time_limit(launcher: Launcher, python: Path) -> Facts:
    """A job hangs, and there is a limit."""
    setting = launcher.settings.get("limit")
    if setting is None:
        return {"setting": None}
    with trial(python, launcher.base) as t:
        code, seconds = t.run(t.command("+bad=1", "+how=hang", *setting))
        return {
            "setting": setting,
            "exit_code": code,
            "seconds": seconds,
            "others_ended": t.ended(but=1),
            "starts": t.count("start"),
            "output": t.output()[-600:],
        }


def many_failures(launcher: Launcher, python: Path) -> Facts:
    """All of twelve jobs fail."""
    with trial(python, launcher.base, jobs=12) as t:
        setting = launcher.settings.get("fail_fast", ())
        code, _ = t.run(t.command("+bad=[0,1,2,3,4,5,6,7,8,9,10,11]", *setting))
        return {"setting": setting, "started": len(t.count("start")), "of": 12, "exit_code": code}


def gpus(launcher: Launcher, python: Path) -> Facts:
    """Six jobs, two GPUs, which need not be there."""
    with trial(python, launcher.base, jobs=6) as t:
        setting = launcher.settings.get("gpus", ())
        t.environment.pop("CUDA_VISIBLE_DEVICES", None)
        t.run(t.command(*setting))
        seen, spans = {}, []
        for x, entries in t.journal().items():
            seen[x] = entries[0]["cuda"]
            spans.append((entries[0]["time"], entries[-1]["time"], entries[0]["cuda"]))
        shared = sum(
            a[2] == b[2] and a[0] < b[1] and b[0] < a[1]
            for i, a in enumerate(spans)
            for b in spans[i + 1 :]
        )
        most = max(sum(a[0] <= b[0] < a[1] for a in spans) for b in spans)
        return {
            "setting": setting,
            "seen": seen,
            "pairs_at_once_on_the_same": shared,
            "most_at_once": most,
        }


def looked_at(launcher: Launcher, python: Path) -> Facts:
    """Two jobs run; another shell asks, and the processes are counted."""
    with trial(python, launcher.base) as t:
        process = t.start(t.command("+steps=20"))
        t.wait_for(lambda: len(t.count("step")) >= 2)
        facts: Facts = {"processes": len(t.processes()), "megabytes": t.megabytes()}
        command = launcher.commands.get("status")
        if command:
            facts |= {"command": command, **_said(t, command)}
        process.send_signal(signal.SIGTERM)
        return facts


def _said(t: Trial, command: tuple[str, ...]) -> Facts:
    words = [str(t.sweep) if word == "SWEEP" else word for word in command]
    done = subprocess.run(
        words, env=t.environment, capture_output=True, text=True, timeout=60, cwd=t.directory
    )
    return {"code": done.returncode, "said": t.told(done.stdout + done.stderr).strip()[-1500:]}


def _stopped_by(number: signal.Signals, *, group: bool) -> Scenario:
    def scenario(launcher: Launcher, python: Path) -> Facts:
        with trial(python, launcher.base) as t:
            process = t.start(t.command("+steps=20"))
            t.wait_for(lambda: len(t.count("step")) >= 2)
            # Ctrl-C goes to all that the terminal has in the foreground.
            (os.killpg if group else os.kill)(process.pid, number)
            began = time.monotonic()
            t.wait_for(lambda: process.poll() is not None, 20)
            took = round(time.monotonic() - began, 1)
            time.sleep(2)
            before = sum(t.count("step").values())
            time.sleep(2)
            return {
                "exit_code": process.poll(),
                "seconds": took,
                "processes_left": len(t.processes()),
                "jobs_go_on": sum(t.count("step").values()) > before,
            }

    return scenario


def cancelled_elsewhere(launcher: Launcher, python: Path) -> Facts:
    """The launcher's own command to end a sweep, from another shell."""
    command = launcher.commands.get("cancel")
    if not command:
        return {"command": None}
    with trial(python, launcher.base) as t:
        t.start(t.command("+steps=40"))
        t.wait_for(lambda: len(t.count("step")) >= 2)
        facts = _said(t, command)
        time.sleep(1)
        return {"command": command, **facts, "processes_left": len(t.processes())}


def dry_run(launcher: Launcher, python: Path) -> Facts:
    """The plan, and nothing run."""
    setting = launcher.settings.get("dry_run")
    if setting is None:
        return {"setting": None}
    with trial(python, launcher.base) as t:
        code, _ = t.run(t.command(*setting))
        return {
            "setting": setting,
            "exit_code": code,
            "started": len(t.count("start")),
            "sweep_directory_made": t.sweep.exists(),
            "said": t.output()[-1500:],
        }


def settings(launcher: Launcher, python: Path) -> Facts:
    """The names of all its settings: what is not among them cannot be asked for."""
    with trial(python, launcher.base) as t:
        words = [word for word in t.command(x="0") if word != "-m"]
        t.run([*words, "--cfg", "hydra", "-p", "hydra.launcher"])
        return {"said": t.output()}


SCENARIOS: dict[str, Scenario] = {
    "a job raises": _bad_job("raise"),
    "a job calls sys.exit(3)": _bad_job("exit"),
    "a job is killed": _bad_job("kill"),
    "the terminal closes": terminal_closes,
    "the launcher is killed": launcher_is_killed,
    "only what failed": only_what_failed,
    "alone by hand": alone_by_hand,
    "retries of a job that raises": _retries("raise"),
    "retries of a job that is killed": _retries("kill"),
    "time limit": time_limit,
    "many failures": many_failures,
    "gpus": gpus,
    "looked at": looked_at,
    "Ctrl-C": _stopped_by(signal.SIGINT, group=True),
    "SIGTERM": _stopped_by(signal.SIGTERM, group=False),
    "cancelled elsewhere": cancelled_elsewhere,
    "dry run": dry_run,
    "settings": settings,
}
