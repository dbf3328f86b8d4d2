"""What is tried with each launcher; each trial returns plain facts."""

from __future__ import annotations

import signal
from pathlib import Path

from endings import cancelled_elsewhere, launcher_is_killed, stopped_by, terminal_closes
from launchers import Launcher
from trial import Facts, Scenario, Trial, trial


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


def only_what_failed(launcher: Launcher, python: Path) -> Facts:
    """Let a job fail, and run the sweep again."""
    with trial(python, launcher.base) as t:
        again = launcher.settings.get("again", ())
        t.run(t.command("+bad=1", "+bad_starts=1"))
        code, _ = t.run(t.command("+bad=1", "+bad_starts=1", *again))
        facts: Facts = {"again": again, "exit_code": code, "starts": t.count("start")}
        where = [entry for entry in t.journal()[1] if entry["event"] == "end"]
        facts["directory_of_job_1"] = Path(where[-1]["directory"]).name if where else None
        return facts


def alone_by_hand(launcher: Launcher, python: Path) -> Facts:
    """Start only the job that failed again, by writing its override."""
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
    """Let a job hang, where there is a limit."""
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
    """Let all of twelve jobs fail."""
    with trial(python, launcher.base, jobs=12) as t:
        setting = launcher.settings.get("fail_fast", ())
        code, _ = t.run(t.command("+bad=[0,1,2,3,4,5,6,7,8,9,10,11]", *setting))
        return {"setting": setting, "started": len(t.count("start")), "of": 12, "exit_code": code}


def gpus(launcher: Launcher, python: Path) -> Facts:
    """Run six jobs on two GPUs, which need not be there."""
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
    """Ask from another shell while two jobs run, and count the processes."""
    with trial(python, launcher.base) as t:
        process = t.start(t.command("+steps=20"))
        t.wait_for(lambda: len(t.count("step")) >= 2)
        facts: Facts = {"processes": len(t.processes()), "megabytes": t.megabytes()}
        command = launcher.commands.get("status")
        if command:
            facts |= {"command": command, **t.said(command)}
        process.send_signal(signal.SIGTERM)
        return facts


def dry_run(launcher: Launcher, python: Path) -> Facts:
    """Ask for the plan, and for nothing to be run."""
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
    """List all its settings: what is not among them cannot be asked for."""
    with trial(python, launcher.base) as t:
        words = [word for word in t.command(x="0") if word != "-m"]
        t.run([*words, "--cfg", "hydra", "-p", "hydra.launcher"])
        return {"said": t.output()}


SCENARIOS: dict[str, Scenario] = {
    "a job raises": _bad_job("raise"),
    "a job calls sys.exit(3)": _bad_job("exit"),
    "a job is killed": _bad_job("kill"),
    "a job returns a lock": _bad_job("'return a lock'"),
    "the terminal closes": terminal_closes(nohup=False),
    "the terminal closes, nohup": terminal_closes(nohup=True),
    "the launcher is killed": launcher_is_killed,
    "only what failed": only_what_failed,
    "alone by hand": alone_by_hand,
    "retries of a job that raises": _retries("raise"),
    "retries of a job that is killed": _retries("kill"),
    "time limit": time_limit,
    "many failures": many_failures,
    "gpus": gpus,
    "looked at": looked_at,
    "Ctrl-C": stopped_by(signal.SIGINT, group=True),
    "SIGTERM": stopped_by(signal.SIGTERM, group=False),
    "cancelled elsewhere": cancelled_elsewhere,
    "dry run": dry_run,
    "settings": settings,
}
