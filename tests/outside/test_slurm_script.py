"""The script of a Slurm array, what it does with signals, and the flags it is submitted with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchkit.job import Job, Needs
from launchkit.outside import slurm, slurm_script, sss_script
from launchkit.outside.packs import Pack
from launchkit.outside.slurm_arrays import arrays
from launchkit.outside.slurm_settings import SlurmSettings

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "LAUNCHKIT_REWRITE_GOLDEN"
SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


def compare(name, text):
    """Compare a text with a golden file, which is written anew where the variable is set."""
    path = GOLDEN / name
    if os.environ.get(REWRITE):
        path.write_text(text)
    assert text == path.read_text(), f"if that is right: {REWRITE}=1"


def test_the_array_script():
    sweep = Path("/data/it's a sweep/@EXPORTS@ $(1)")
    text = slurm_script.array_script(sweep, {"LAUNCHKIT_TAG": "20261122-a.1.2"}, 10)
    compare("slurm_array.sh", text)


def test_the_array_script_of_a_folder_that_is_carried():
    compare("sss_array.sh", slurm_script.array_script(None, {}, 3))


def test_the_script_that_submits_a_folder():
    submissions = [
        [
            "--job-name=launchkit-x",
            "--account=my lab",
            "--array=0-999%2",
            ".launchkit/array.sh",
            "0",
        ],
        ["--job-name=launchkit-x", "--array=0-9%2", ".launchkit/array.sh", "1000"],
    ]
    compare("sss_submit.sh", sss_script.submit_script(submissions))


@pytest.mark.parametrize(("name", "image"), [("a-b_1.2", None), ("it's a sweep", "/images/x.sif")])
def test_the_page_of_a_folder(name, image):
    text = sss_script.readme(Path("/home/me/my sweeps", name), 3, image, "launchkit-x")
    compare(f"sss_readme_{'image' if image else 'python'}.txt", text)


# What the script does


class Task:
    """The array's script, run as Slurm runs it, with a pack of our own."""

    def __init__(self, folder, pack, shell="sh", max_requeues=1, index=2, first=40):
        self.sweep = folder / "the sweep's folder"
        self.carriers = self.sweep / ".launchkit" / "carriers"
        unpacked = self.sweep / ".launchkit" / "unpacked"
        for made in (self.carriers, unpacked, folder / "bin"):
            made.mkdir(parents=True, exist_ok=True)
        final = unpacked / "final_script.sh"
        final.write_text(f"#!/bin/sh\n{pack}\n")
        final.chmod(0o755)
        self.requeued = folder / "requeued"
        scontrol = folder / "bin" / "scontrol"
        scontrol.write_text(f'#!/bin/sh\necho "$@" >>"{self.requeued}"\nkill -TERM "$PPID"\n')
        scontrol.chmod(0o755)
        script = folder / "array.sh"
        script.write_text(slurm_script.array_script(self.sweep, {"TAG": "a b"}, max_requeues))
        words = ["busybox", "sh"] if shell == "busybox" else [shell]
        self.process = subprocess.Popen(
            [*words, str(script), str(first)],
            env={
                **os.environ,
                "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
                "SLURM_ARRAY_JOB_ID": "7",
                "SLURM_ARRAY_TASK_ID": str(index),
            },
            stderr=subprocess.PIPE,
            text=True,
            umask=0o027,
        )

    def log(self):
        path = self.carriers / "42.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, word):
        deadline = time.monotonic() + 30
        while word not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def end(self):
        path = self.carriers / "42.exit"
        return self.process.wait(30), path.read_text() if path.exists() else None


HOST = """\
trap 'echo told; exit 75' TERM
echo ready
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_task_runs_its_pack_and_says_how_it_ended(tmp_path, shell):
    pack = 'echo "pack $1 of $#: $TAG, $LAUNCHKIT_ON_SIGNAL, $(umask)"; exit 5'
    task = Task(tmp_path, pack, shell)
    assert task.end() == (5, "5 ended\n")
    assert task.log() == "pack 42 of 1: a b, preempted, 0027\n"
    assert (task.carriers / "42.log").stat().st_mode & 0o777 == 0o600
    assert (task.carriers / "42.exit").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("shell", SHELLS)
def test_at_its_time_limit_a_task_asks_its_host_and_is_requeued(tmp_path, shell):
    task = Task(tmp_path, HOST, shell)
    task.wait_for("ready")
    task.process.send_signal(signal.SIGUSR1)
    assert task.end() == (75, None)
    assert "told" in task.log()
    assert task.requeued.read_text() == "requeue 7_2\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_requeued_only_so_often(tmp_path, shell):
    (tmp_path / "the sweep's folder" / ".launchkit" / "carriers").mkdir(parents=True)
    for ends in ((75, None), (75, "75 timeout\n")):
        (tmp_path / "the sweep's folder/.launchkit/carriers/42.log").unlink(missing_ok=True)
        task = Task(tmp_path, HOST, shell)
        task.wait_for("ready")
        task.process.send_signal(signal.SIGUSR1)
        assert task.end() == ends
    assert task.requeued.read_text() == "requeue 7_2\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_job_that_ends_by_itself_at_the_time_limit_is_not_requeued(tmp_path, shell):
    task = Task(tmp_path, HOST.replace("exit 75", "exit 0"), shell)
    task.wait_for("ready")
    task.process.send_signal(signal.SIGUSR1)
    assert task.end() == (0, "0 ended\n")
    assert not task.requeued.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_task_that_is_told_to_end_waits_for_its_host_and_leaves_the_rest_to_slurm(
    tmp_path, shell
):
    task = Task(
        tmp_path, "trap 'sleep 0.3; echo late; exit 75' TERM\necho $$ ready; " + HOST[-30:], shell
    )
    task.wait_for("ready")
    task.process.send_signal(signal.SIGTERM)
    os.kill(int(task.log().split()[0]), signal.SIGTERM)
    assert task.end() == (75, None)
    assert "late" in task.log()


def test_a_node_that_does_not_see_the_sweep_says_so(tmp_path):
    task = Task(tmp_path, "exit 0")
    task.process.wait(30)
    shutil.rmtree(task.sweep)
    script = [str(tmp_path / "array.sh"), "0"]
    env = {**os.environ, "SLURM_ARRAY_TASK_ID": "0"}
    done = subprocess.run(["sh", *script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == slurm_script.NOT_SHARED_CODE
    assert f"does not see {task.sweep}; it must be on a disk that all nodes share" in done.stderr


# Flags


@given(st.lists(st.integers(0, 60), unique=True))
def test_ranges_name_each_number_once(numbers):
    named = []
    for part in filter(None, slurm.ranges(numbers).split(",")):
        low, _, high = part.partition("-")
        named += range(int(low), int(high or low) + 1)
    assert named == sorted(numbers)


@given(st.lists(st.sampled_from([None, 1, 2]), max_size=40), st.integers(1, 9), st.integers(1, 9))
def test_arrays_hold_each_pack_once_and_are_no_larger_than_allowed(gpus, size, parallelism):
    wanted = sorted(gpus, key=lambda count: count or 0)
    packs = [Pack(100 + i, (i,), needs=Needs(gpus=count)) for i, count in enumerate(wanted)]
    made = arrays(packs, size, parallelism)
    assert [pack for array in made for pack in array.packs] == packs
    for array in made:
        assert len(array.packs) <= size
        assert len({pack.needs for pack in array.packs}) == 1
        assert array.flag.startswith("--array=0")
    if len(made) <= parallelism:
        assert sum(array.parallelism for array in made) <= parallelism


def test_flags_say_what_is_set_and_no_more():
    assert SlurmSettings().flags(Needs()) == ["--ntasks=1", "--requeue", "--signal=B:USR1@60"]
    settings = SlurmSettings(
        account="a b",
        partition="p",
        qos="q",
        constraint="x&y",
        time_in_mins=3,
        nodes=2,
        gpus="a100:2",
        cpus_per_task=4,
        mem="8G",
        requeue=False,
        sbatch_args=["--exclude=n1", "-x n2"],
    )
    flags = settings.flags(Needs(gpus=1, cpus=2))
    compare("slurm_flags.txt", "\n".join(flags) + "\n")
    assert "--gres=gpu:a100:1" in flags
    assert "--cpus-per-task=2" in flags


@pytest.mark.parametrize(
    ("settings", "places", "cores"),
    [
        ({}, {"n_jobs": 1}, None),
        ({"cpus_per_job": 2}, {"n_jobs": 1, "cpus_per_job": 2}, 2),
        ({"jobs_per_task": 9}, {"n_jobs": 1}, None),
        ({"jobs_per_task": 9, "cpus_per_task": 4}, {"n_jobs": 4}, 4),
        (
            {"jobs_per_task": 9, "cpus_per_task": 4, "cpus_per_job": 2},
            {"n_jobs": 2, "cpus_per_job": 2},
            4,
        ),
        (
            {"jobs_per_task": 9, "n_jobs": 3, "cpus_per_job": 2},
            {"n_jobs": 3, "cpus_per_job": 2},
            6,
        ),
        (
            {"jobs_per_task": 9, "gpus": 2, "jobs_per_gpu": 3},
            {"n_jobs": None, "gpus": "auto", "jobs_per_gpu": 3, "gpus_per_job": None},
            None,
        ),
    ],
)
def test_how_jobs_share_a_task(settings, places, cores):
    made = SlurmSettings(**settings)
    assert made.places() == places
    asked = [flag for flag in made.flags(Needs()) if flag.startswith("--cpus-per-task")]
    assert asked == ([f"--cpus-per-task={cores}"] if cores else [])


def test_a_short_task_is_not_told_to_end_as_it_begins():
    assert SlurmSettings(time_in_mins=1).lead_s == 15
    assert SlurmSettings(time_in_mins=600).lead_s == 60
    assert SlurmSettings(signal_s=0).flags(Needs()) == ["--ntasks=1", "--requeue"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jobs_per_task": 0}, "jobs_per_task is 0; it must be a whole number of 1 or more"),
        ({"time_in_mins": 1.5}, "time_in_mins is 1.5; it must be a whole number"),
        ({"partition": "a\nb"}, r"partition is 'a\\nb'; it must be a name, or null"),
        ({"account": ""}, "account is ''; it must be a name, or null"),
        ({"mem": "8 GB"}, "mem is '8 GB'; it must be like 8G or 500M"),
        ({"gpus": "all"}, "gpus is 'all'; it must be a number, or like a100:2, or null"),
        ({"gpus": -1}, "gpus is -1; it must be a number"),
        ({"requeue": "no"}, "requeue is 'no'; it must be true or false"),
        ({"n_jobs": 2}, "n_jobs is 2 and jobs_per_task is 1; it says how jobs share a task"),
        ({"sbatch_args": "--x"}, "sbatch_args is '--x'; it must be a list"),
        ({"sbatch_args": ["evil.sh"]}, "sbatch_args has 'evil.sh'; each must be one flag"),
        ({"sbatch_args": ["--array=1-9"]}, "launchkit's to give; set array_parallelism"),
        ({"sbatch_args": ["-o/tmp/x"]}, "sbatch_args has '-o/tmp/x', which is launchkit's to give"),
        ({"inputs": {"/a": "/b"}}, "inputs is set and image is not; there is no container"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        SlurmSettings(**settings)


def test_a_job_that_needs_more_gpus_than_its_task_has_is_refused(tmp_path):
    job = Job(3, (), tmp_path, Needs(gpus=2))
    SlurmSettings(gpus=1).check_job(job)
    with pytest.raises(ValueError, match="job 3 needs 2 GPUs, and it shares a task that has 1"):
        SlurmSettings(gpus=1, jobs_per_task=4).check_job(job)
