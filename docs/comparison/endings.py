"""What becomes of the jobs where the launcher, or its terminal, comes to an end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from launchers import Launcher
from trial import Facts, Scenario, trial


def terminal_closes(*, nohup: bool) -> Scenario:
    """Close the launcher's terminal while jobs run."""

    def scenario(launcher: Launcher, python: Path) -> Facts:
        with trial(python, launcher.base) as t:
            setting = () if nohup else launcher.settings.get("detach", ())
            command = t.command("+steps=20", *setting)
            _, master = t.in_terminal(["nohup", *command] if nohup else command)
            t.wait_for(lambda: len(t.count("step")) >= 2)
            os.close(master)
            t.wait_until_quiet()
            return {"setting": setting, "ended": t.ended(), "of": 4, "left": len(t.processes())}

    return scenario


def launcher_is_killed(launcher: Launcher, python: Path) -> Facts:
    """Kill the launcher by SIGKILL while jobs run, and then run the sweep again."""
    with trial(python, launcher.base) as t:
        process = t.start(t.command("+steps=20"))
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
        code, _ = t.run(t.command("+steps=20", *again))
        return {
            **facts,
            "again": again,
            "again_exit_code": code,
            "ended": t.ended(),
            "ends": t.count("end"),
            "starts": t.count("start"),
        }


def stopped_by(number: signal.Signals, *, group: bool) -> Scenario:
    """Send the launcher, or all that its terminal has in the foreground, a signal."""

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
    """End a sweep from another shell, by the launcher's own command."""
    command = launcher.commands.get("cancel")
    if not command:
        return {"command": None}
    with trial(python, launcher.base) as t:
        t.start(t.command("+steps=40"))
        t.wait_for(lambda: len(t.count("step")) >= 2)
        facts = t.said(command)
        time.sleep(1)
        return {"command": command, **facts, "processes_left": len(t.processes())}
