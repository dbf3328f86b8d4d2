"""A sweep is a directory."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from dataclasses import replace

import pytest

from launchkit import job as jobs
from launchkit._version import __version__
from launchkit.job import Job, JobState, Needs
from launchkit.sweep import Sweep, SweepError, make_way


def create(directory):
    return Sweep.create(
        directory, mode="local", settings={"n_jobs": 2}, command=["train.py", "-m", "lr=1,2"]
    )


@pytest.fixture
def sweep(tmp_path):
    return create(tmp_path / "sweep")


def job(sweep, num, name=None):
    return Job(num, (f"lr={num}",), sweep.directory / (name or str(num)))


def test_the_files_of_a_sweep_are_as_documented(sweep):
    sweep.add([job(sweep, 0), job(sweep, 1)])
    content = json.loads((sweep.own / "sweep.json").read_text())
    assert content == {
        "id": sweep.id,
        "launchkit_version": __version__,
        "mode": "local",
        "settings": {"n_jobs": 2},
        "policy": {},
        "command": ["train.py", "-m", "lr=1,2"],
        "created": pytest.approx(time.time(), abs=60),
        "size": None,
    }
    lines = [json.loads(line) for line in (sweep.own / "jobs.jsonl").read_text().splitlines()]
    assert lines == [
        {"num": 0, "overrides": ["lr=0"], "directory": "0"},
        {"num": 1, "overrides": ["lr=1"], "directory": "1"},
    ]


def test_an_opened_sweep_equals_the_one_that_was_made(sweep):
    sweep.add([job(sweep, 0)])
    sweep.add([job(sweep, 1, "lr=1,a=\udc80 ü")])
    opened = Sweep.open(sweep.directory)
    assert opened == sweep
    assert opened.jobs == sweep.jobs


def test_every_sweep_has_an_id_of_its_own(tmp_path):
    assert len({create(tmp_path / str(n)).id for n in range(20)}) == 20


def test_keys_of_a_later_version_are_left_out(sweep):
    sweep.add([job(sweep, 0)])
    path = sweep.own / "sweep.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "budget": 3}))
    path = sweep.own / "jobs.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), "queue": "gpu"}) + "\n")
    assert Sweep.open(sweep.directory).jobs == sweep.jobs


def test_what_a_job_needs_is_kept_where_it_needs_anything(sweep):
    needy = replace(job(sweep, 1), needs=Needs(gpus=2, timeout_min=1.5))
    sweep.add([job(sweep, 0), needy])
    lines = [json.loads(line) for line in (sweep.own / "jobs.jsonl").read_text().splitlines()]
    assert "needs" not in lines[0]
    assert lines[1]["needs"] == {"gpus": 2, "timeout_min": 1.5}
    assert Sweep.open(sweep.directory).jobs == (job(sweep, 0), needy)


def test_jobs_of_a_resumed_sweep_are_changed_in_place_and_added(sweep):
    sweep.add([job(sweep, 0), job(sweep, 1), job(sweep, 2)])
    size = (sweep.own / "jobs.jsonl").stat().st_size
    sweep.put([job(sweep, 1), job(sweep, 0)])
    assert (sweep.own / "jobs.jsonl").stat().st_size == size
    changed = replace(job(sweep, 1), overrides=("lr=9",), needs=Needs(cpus=3))
    sweep.put([job(sweep, 4), changed])
    expected = (job(sweep, 0), changed, job(sweep, 2), job(sweep, 4))
    assert sweep.jobs == expected
    assert Sweep.open(sweep.directory).jobs == expected


def test_a_reconfigured_sweep_is_the_same_sweep_with_other_settings(sweep):
    sweep.add([job(sweep, 0)])
    other = sweep.reconfigured(
        mode="here_no_doodad", settings={}, policy={"max_retries": 3, "retry_on": ["lost"]}
    )
    assert (other.id, other.created, other.command) == (sweep.id, sweep.created, sweep.command)
    assert (other.mode, other.settings) == ("here_no_doodad", {})
    assert other.jobs == sweep.jobs
    opened = Sweep.open(sweep.directory)
    assert opened == other
    assert opened.policy == {"max_retries": 3, "retry_on": ["lost"]}
    assert stat.S_IMODE((sweep.own / "sweep.json").stat().st_mode) == 0o600


def test_how_many_jobs_it_is_to_have_is_kept_until_another_number_is_known(tmp_path):
    made = Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=[], size=7)
    assert Sweep.open(made.directory).size == 7
    assert made.reconfigured(mode="local", settings={}, policy={}).size == 7
    made.reconfigured(mode="local", settings={}, policy={}, size=9)
    assert Sweep.open(made.directory).size == 9


def test_a_sweep_of_an_earlier_version_has_no_policy_and_no_size(sweep):
    path = sweep.own / "sweep.json"
    content = json.loads(path.read_text())
    del content["policy"], content["size"]
    path.write_text(json.dumps(content))
    opened = Sweep.open(sweep.directory)
    assert (opened.policy, opened.size) == ({}, None)


def test_what_can_be_added_is_checked_without_adding_it(sweep):
    before = sorted(sweep.directory.rglob("*"))
    sweep.check([job(sweep, 0), job(sweep, 1)])
    with pytest.raises(SweepError, match="jobs 0 and 1 would both write"):
        sweep.check([job(sweep, 0, "same"), job(sweep, 1, "same")])
    assert sweep.jobs == ()
    assert sorted(sweep.directory.rglob("*")) == before


def test_its_own_directory_is_for_the_owner_only(tmp_path):
    before = os.umask(0)
    try:
        made = create(tmp_path / "sweep")
        made.add([job(made, 0)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.own.stat().st_mode) == 0o700
    for name in ("sweep.json", "jobs.jsonl"):
        assert stat.S_IMODE((made.own / name).stat().st_mode) == 0o600


def test_a_dry_run_of_setting_aside_leaves_everything(sweep):
    make_way(sweep.directory, "set_aside", dry_run=True)
    assert Sweep.open(sweep.directory).id == sweep.id
    with pytest.raises(SweepError, match="already holds a sweep"):
        make_way(sweep.directory, "refuse", dry_run=True)


def test_jobs_are_selected_by_state(sweep):
    sweep.add([job(sweep, num) for num in range(3)])
    jobs.start(sweep.jobs[1])
    jobs.end(sweep.jobs[2], JobState.FAILED, exit_code=1)
    assert sweep.select(JobState.PENDING) == sweep.jobs[:1]
    assert sweep.select(JobState.RUNNING, JobState.FAILED) == sweep.jobs[1:]
    assert {num: str(attempt.state) for num, attempt in sweep.attempts().items()} == {
        0: "pending",
        1: "running",
        2: "failed",
    }


def test_a_second_sweep_is_refused_and_the_first_is_as_it_was(sweep):
    before = (sweep.own / "sweep.json").read_bytes()
    with pytest.raises(SweepError, match=r"already holds a sweep.*existing=set_aside"):
        create(sweep.directory)
    assert (sweep.own / "sweep.json").read_bytes() == before


def test_a_sweep_is_set_aside_under_the_next_free_number(sweep):
    sweep.directory.with_name("sweep.1").mkdir()
    make_way(sweep.directory, "set_aside")
    assert not sweep.directory.exists()
    assert Sweep.open(sweep.directory.with_name("sweep.2")).id == sweep.id
    assert create(sweep.directory).id != sweep.id


def test_a_directory_without_a_sweep_is_never_set_aside(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    make_way(tmp_path / "mine", "set_aside")
    make_way(tmp_path / "mine", "refuse")
    assert (tmp_path / "mine" / "notes.txt").exists()


def test_another_way_with_an_existing_sweep_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"existing is 'delete'; .* refuse, set_aside"):
        make_way(tmp_path, "delete")


def test_two_jobs_in_one_directory_are_refused(sweep):
    with pytest.raises(SweepError, match=r"jobs 0 and 1 would both write to .*hydra\.job\.num"):
        sweep.add([job(sweep, 0, "same"), job(sweep, 1, "same")])
    sweep.add([job(sweep, 0)])
    with pytest.raises(SweepError, match="jobs 0 and 1 would both write"):
        sweep.add([job(sweep, 1, "0")])
    assert Sweep.open(sweep.directory).jobs == (job(sweep, 0),)


@pytest.mark.parametrize("name", ["progress.csv", "variant.json", ".launchkit/state.json"])
def test_a_directory_that_holds_a_run_is_refused(sweep, name):
    path = sweep.directory / "0" / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(SweepError, match=r"already holds a run .*job 0 would mix with it"):
        sweep.add([job(sweep, 0)])
    assert Sweep.open(sweep.directory).jobs == ()


def test_a_moved_sweep_knows_where_its_jobs_are(sweep, tmp_path):
    names = ["0", "lr=1e-3..1e-2..x", "deep/er/2", "../beside"]
    sweep.add([job(sweep, num, name) for num, name in enumerate(names)])
    new = tmp_path / "elsewhere" / "sweep"
    new.parent.mkdir()
    shutil.move(sweep.directory, new)
    directories = [known.directory for known in Sweep.open(new).jobs]
    assert directories == [
        new / "0",
        new / "lr=1e-3..1e-2..x",
        new / "deep/er/2",
        new.parent / "beside",
    ]


def test_a_job_far_from_the_sweep_keeps_its_absolute_place(sweep, tmp_path):
    far = tmp_path.parent / "far"
    sweep.add([Job(0, (), far)])
    new = sweep.directory.rename(tmp_path / "renamed")
    assert [known.directory for known in Sweep.open(new).jobs] == [far]


def test_a_torn_line_of_jobs_costs_only_itself(sweep):
    sweep.add([job(sweep, 0)])
    with (sweep.own / "jobs.jsonl").open("a") as stream:
        stream.write('{"num": 1, "overri')
    assert len(Sweep.open(sweep.directory).jobs) == 1
    reopened = Sweep.open(sweep.directory)
    reopened.add([job(sweep, 2)])
    assert [known.num for known in Sweep.open(sweep.directory).jobs] == [0, 2]


def test_what_is_no_sweep_is_said_to_be_none(tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(SweepError, match=f"{directory} is not a sweep directory"):
            Sweep.open(directory)


@pytest.mark.parametrize("content", ["", '{"id": ', "[]", '{"id": "a"}'])
def test_a_damaged_sweep_file_is_named(sweep, content):
    (sweep.own / "sweep.json").write_text(content)
    with pytest.raises(SweepError, match=r"sweep\.json is damaged"):
        Sweep.open(sweep.directory)


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "sweep"):
        with pytest.raises(SweepError, match=rf"cannot write .*{directory}.*set hydra\.sweep\.dir"):
            create(directory)


def test_a_full_disk_leaves_no_half_of_a_sweep(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("launchkit.files.write_new", full)
    with pytest.raises(SweepError, match="No space left on device"):
        create(tmp_path / "sweep")
    monkeypatch.undo()
    create(tmp_path / "sweep")
