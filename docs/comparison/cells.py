"""The words of a cell of the table, from the facts of a trial."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Any]


def _of(count: int, all_: int) -> str:
    return f"{count} of {all_}"


def _setting(words: list[str]) -> str:
    names = [word.lstrip("+").removeprefix("hydra.launcher.") for word in words]
    return ", ".join(f"`{name}`" for name in names)


def bad_job(facts: Facts) -> str:
    """Say how many others completed, where job 1 went wrong."""
    starts = facts["starts"]["1"]
    again = f"; it ran {starts} times" if starts > 1 else ""
    return f"{_of(facts['others_ended'], 3)}, exit code {facts['exit_code']}{again}"


def closed(facts: Facts) -> str:
    """Say how many jobs completed."""
    how = f", {_setting(facts['setting'])}" if facts["setting"] else ""
    return f"{_of(facts['ended'], facts['of'])}{how}"


def killed(facts: Facts) -> str:
    """Say what became of the jobs and processes."""
    ended, running = facts["of_these_ended"], facts["running_when_killed"]
    left = facts["left"]
    fate = f"{ended} jobs went on to their end" if ended else f"the {running} running jobs end"
    idle = f"; {left} processes stay" if left else "; no process stays"
    return f"{fate}{idle}"


def after_kill(facts: Facts) -> str:
    """Say how many jobs completed in the end."""
    twice = sum(count > 1 for count in facts["ends"].values())
    how = f" ({_setting(facts['again'])})" if facts["again"] else ""
    return f"{_of(facts['ended'], 4)} complete{how}, {twice} of them twice"


def only(facts: Facts) -> str:
    """Say how many jobs ran again."""
    again = sum(count > 1 for count in facts["starts"].values())
    how = f" ({_setting(facts['again'])})" if facts["again"] else ""
    return f"{_of(again, 4)} run again{how}"


def alone(facts: Facts) -> str:
    """Say where the job put its files."""
    where = facts["directory"]
    return "refused: the sweep is there" if where is None else f"in directory `{where}`"


def retried(facts: Facts) -> str:
    """Say how often job 1 ran."""
    how = f"{_setting(facts['setting'])}: " if facts["setting"] else "no setting: "
    starts = facts["starts"]
    times = "once" if starts == 1 else f"{starts} times"
    return f"{how}it ran {times}, {_of(facts['ended'], 4)} completed"


def kept(facts: Facts) -> str:
    """Say where its output is."""
    if facts["starts"] < 2:
        return "(no second attempt)"
    files = [entry.partition(": ")[0] for entry in facts["outputs_in_files"]]
    return ", ".join(f"`{name}`" for name in files) or "in no file of the sweep"


def limit(facts: Facts) -> str:
    """Say what the limit did."""
    if facts["setting"] is None:
        return "no setting"
    starts = facts["starts"]["1"]
    again = f"; it ran {starts} times" if starts > 1 else ""
    raised = "; `TimeoutError` in the launcher" if "TimeoutError" in facts["output"] else ""
    seconds = f"after {facts['seconds']:.0f} s"
    return (
        f"{_setting(facts['setting'])}: over {seconds}, "
        f"{_of(facts['others_ended'], 3)} others completed{again}{raised}"
    )


def many(facts: Facts) -> str:
    """Say how many jobs started."""
    how = _setting(facts["setting"]) or "no setting"
    return f"{how}: {_of(facts['started'], facts['of'])} start"


def gpus(facts: Facts) -> str:
    """Say which GPUs the jobs saw."""
    if not facts["setting"]:
        return "no setting"
    seen = sorted(set(facts["seen"].values()))
    shared = facts["pairs_at_once_on_the_same"]
    fate = "never two jobs at once on one" if not shared else "all jobs on the same at once"
    return f"{_setting(facts['setting'])}: jobs see {' or '.join(seen)}, {fate}"


def at_once(facts: Facts) -> str:
    """Say how many jobs ran at once."""
    most = facts["most_at_once"]
    return f"{most}" if most <= 2 else f"no setting: {most} of {len(facts['seen'])}"


def status(facts: Facts) -> str:
    """Say the command."""
    command = facts.get("command")
    if command is None:
        return "no command"
    if facts["code"]:
        reason = facts["said"].strip().splitlines()[-1]
        return f"`{' '.join(command)}` failed: {reason[:80]}"
    return f"`{' '.join(command)}`"


def cancelled(facts: Facts) -> str:
    """Say the command, and what it left."""
    if facts["command"] is None:
        return "no command"
    return f"`{' '.join(facts['command'])}`; {facts['processes_left']} processes stay"


def stopped(facts: Facts) -> str:
    """Say how the launcher ended, and what it left."""
    goes_on = ", jobs go on" if facts["jobs_go_on"] else ""
    stay = facts["processes_left"]
    left = f"{stay} processes stay" if stay else "no process stays"
    code = facts["exit_code"]
    if code is None:
        return f"not over after 20 s, {left}{goes_on}"
    ended = f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"
    return f"{ended}, {left}{goes_on}"


def dry(facts: Facts) -> str:
    """Say how many jobs started."""
    if facts["setting"] is None:
        return "no setting"
    return f"{_setting(facts['setting'])}: {facts['started']} start"


def beside(facts: Facts) -> str:
    """Say the processes and their memory."""
    return f"{facts['processes']} processes, {facts['megabytes']} MB"
