"""``launchkit pull``: a sweep from its bucket alone."""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from gcs_here import gcs_bucket, gcs_server
from gcs_here import use as use_gcs
from pulled_sweeps import PREFIX, Home, Machine, tree
from s3_here import S3World, s3_bucket, s3_proxy
from s3_here import use as use_s3

from launchkit import cli, driver, job
from launchkit.cloud.gcs import GcsStore
from launchkit.cloud.s3 import S3Store
from launchkit.cloud.stores import Store
from launchkit.job import JobState
from launchkit.sweep import Sweep


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultyProxy]:
    with s3_proxy() as proxy:
        yield proxy


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy) -> Iterator[S3World]:
    use_s3(monkeypatch, proxy)
    with s3_bucket(proxy) as world:
        yield world


@pytest.fixture
def store(world: S3World) -> Store:
    return S3Store(world.bucket)


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    return Home(store, tmp_path / "office")


@pytest.fixture
def machine(home: Home, tmp_path: Path) -> Machine:
    """A machine that has begun both jobs, and ended the first."""
    home.hand_over()
    machine = Machine(home, tmp_path / "machine")
    for num in (0, 1):
        machine.start(num, rows=3)
    machine.end(0)
    return machine


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to pull into, which is the current one."""
    path = tmp_path / "laptop" / "work"
    path.mkdir(parents=True)
    monkeypatch.chdir(path)
    return path


def pull(*arguments: object) -> int:
    return cli.main(["pull", *map(str, arguments)])


def got(world: S3World, proxy: FaultyProxy) -> list[str]:
    """Return the objects that have been asked for, since the last call."""
    paths = [
        seen.path.partition("?")[0].removeprefix(f"/{world.bucket}/{PREFIX}/").partition("/")[2]
        for seen in proxy.seen
        if seen.method == "GET" and "list-type" not in seen.path
    ]
    proxy.seen.clear()
    return sorted(path for path in paths if not path.startswith((".home/lease", ".machines")))


# All of it


def test_a_sweep_that_is_over_comes_whole(
    home: Home, machine: Machine, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.end(1)
    machine.sync()
    for known, there in zip(home.sweep.jobs, machine.jobs, strict=True):
        job.change(known, **vars(job.read(there.directory)))
    home.depot.close(home.sweep.jobs)
    assert pull(home.url) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{here / 'curves'}: ")
    assert said.out.endswith("2 jobs, the sweep is over\n")
    assert not said.err
    sweep = Sweep.open(here / "curves")
    assert sweep.id == home.sweep.id
    assert [known.directory for known in sweep.jobs] == [here / "curves" / n for n in "01"]
    assert {each.state for each in sweep.attempts().values()} == {JobState.COMPLETED}
    assert driver.current(sweep).released
    assert (here / "curves/1/progress.csv").read_text().splitlines()[-1].startswith("2,")


def test_the_other_commands_work_on_it(
    home: Home, machine: Machine, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.sync()
    pull(home.url, "there")
    capsys.readouterr()
    assert cli.main(["status", "there", "--jobs"]) == 0
    shown = capsys.readouterr().out
    assert "1 running, 1 completed" in shown
    assert "process 4711 on office drives it, or did; it cannot be seen from here" in shown
    assert cli.main(["table", "there", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["x"] for row in rows] == [0, 1]
    assert cli.main(["logs", "there", "1"]) == 0
    assert capsys.readouterr().out == "3 rows\n"


def test_modes_times_links_and_empty_directories_are_as_they_were(
    home: Home, machine: Machine, here: Path
) -> None:
    place = machine.jobs[0].directory
    (place / "run.sh").write_text("#!/bin/sh\n")
    (place / "run.sh").chmod(0o750)
    os.utime(place / "run.sh", (1_700_000_000.25, 1_700_000_000.25))
    (place / "empty/deep").mkdir(parents=True)
    (place / "latest").symlink_to("progress.csv")
    (place / "empty/up").symlink_to("../run.sh")
    (place / "a ü&+%20 name").write_text("x")
    machine.sync()
    pull(home.url)
    copy = here / "curves/0"
    assert (copy / "run.sh").stat().st_mode & 0o777 == 0o750
    assert abs((copy / "run.sh").stat().st_mtime - 1_700_000_000.25) < 0.001
    assert (copy / "empty/deep").is_dir()
    assert os.readlink(copy / "latest") == "progress.csv"
    assert os.readlink(copy / "empty/up") == "../run.sh"
    assert (copy / "a ü&+%20 name").read_text() == "x"
    assert (copy / ".launchkit").stat().st_mode & 0o777 == 0o700
    assert (here / "curves/.launchkit/sweep.json").stat().st_mode & 0o777 == 0o600


def test_a_sweep_whose_machines_have_not_begun_is_known_by_its_batch(
    home: Home, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.hand_over()
    assert pull(home.url) == 0
    attempts = Sweep.open(here / "curves").attempts()
    assert [each.state for each in attempts.values()] == [JobState.SUBMITTED] * 2


def test_a_look_that_is_not_whole_costs_modes_and_times_only(
    home: Home, machine: Machine, here: Path
) -> None:
    machine.sync(look=False)
    assert pull(home.url) == 0
    assert (here / "curves/1/progress.csv").read_text().count("\n") == 4


def test_a_bucket_of_googles(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gcs_server() as (storage, server), gcs_bucket(storage, server) as world:
        use_gcs(monkeypatch, server)
        home = Home(GcsStore(world.bucket), tmp_path / "office")
        home.hand_over()
        machine = Machine(home, tmp_path / "machine")
        machine.start(0)
        machine.sync()
        assert home.url.startswith("gs://")
        assert pull(home.url) == 0
        assert (here / "curves/0/progress.csv").exists()


# Again


def test_pulled_again_only_what_is_new_comes(
    home: Home, machine: Machine, here: Path, world: S3World, proxy: FaultyProxy, capsys
) -> None:
    machine.sync()
    pull(home.url)
    before = tree(here / "curves/0")
    got(world, proxy)
    capsys.readouterr()
    assert pull(home.url) == 0
    assert got(world, proxy) == [".home/sweep/sweep.json"]
    assert ": nothing new; 2 jobs, the sweep is not over: pull again" in capsys.readouterr().out
    machine.write(1, rows=9)
    machine.end(1)
    machine.sync()
    got(world, proxy)
    assert pull(home.url, "curves") == 0
    assert got(world, proxy) == [
        ".home/sweep/sweep.json",
        "curves/1/.launchkit/events.jsonl",
        "curves/1/.launchkit/state.json",
        "curves/1/.launchkit/stdout.log",
        "curves/1/progress.csv",
    ]
    assert (here / "curves/1/progress.csv").read_text().count("\n") == 10
    assert job.read(here / "curves/1").state is JobState.COMPLETED
    assert tree(here / "curves/0") == before


def test_what_was_removed_here_comes_again(home: Home, machine: Machine, here: Path) -> None:
    machine.sync()
    pull(home.url)
    (here / "curves/0/progress.csv").unlink()
    pull(home.url)
    assert (here / "curves/0/progress.csv").exists()


def test_an_interrupted_pull_leaves_no_half_files_and_is_gone_on_with(
    home: Home, machine: Machine, here: Path, world: S3World, proxy: FaultyProxy, capsys
) -> None:
    machine.sync()
    proxy.play("denied", 1000, path=r"1/progress\.csv")
    assert pull(home.url) == 2
    assert "may not do it in bucket" in capsys.readouterr().err
    assert not (here / "curves/1/progress.csv").exists()
    assert not (here / "curves/.launchkit/coming").exists()
    assert not (here / "curves/.launchkit/sweep.json").exists()
    proxy.heal()
    assert pull(home.url) == 0
    whole = {str(path): data for path, data in tree(machine.root / "curves").items()}
    assert {name: tree(here / "curves").get(name) for name in whole} == whole


def test_a_state_is_not_here_before_the_rest_of_its_job(
    home: Home, machine: Machine, here: Path, proxy: FaultyProxy
) -> None:
    machine.sync()
    proxy.play("denied", 1000, path=r"0/progress\.csv")
    pull(home.url)
    assert job.read(here / "curves/0").state is not JobState.COMPLETED


# What is newer


def test_a_later_attempt_that_has_not_begun_is_newer_than_what_an_earlier_one_left(
    home: Home, machine: Machine, here: Path
) -> None:
    machine.end(1, JobState.PREEMPTED)
    machine.sync()
    time.sleep(0.01)
    job.renew(home.sweep.jobs[1])
    home.hand_over(1, (1,))
    pull(home.url)
    known = job.read(here / "curves/1")
    assert (known.state, known.attempt) == (JobState.SUBMITTED, 2)
    assert (here / "curves/1/progress.csv").exists()


def test_what_a_machine_wrote_is_newer_than_the_batch_it_got(
    home: Home, machine: Machine, here: Path
) -> None:
    machine.sync()
    pull(home.url)
    assert job.read(here / "curves/0").state is JobState.COMPLETED


def test_what_home_knew_at_the_end_is_newer_than_what_a_dead_machine_said(
    home: Home, machine: Machine, here: Path
) -> None:
    machine.sync()
    time.sleep(0.01)
    job.end(home.sweep.jobs[1], JobState.LOST)
    home.depot.close(home.sweep.jobs)
    pull(home.url)
    assert job.read(here / "curves/1").state is JobState.LOST
    assert job.read(here / "curves/0").state is JobState.COMPLETED


# Where to


def test_a_directory_that_holds_something_else_is_refused(
    home: Home, machine: Machine, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.sync()
    (here / "curves").mkdir()
    (here / "curves/notes.txt").write_text("mine")
    assert pull(home.url) == 2
    assert "curves is not empty, and was not pulled" in capsys.readouterr().err
    assert tree(here) == {"curves/notes.txt": b"mine"}


def test_a_directory_of_another_sweep_is_refused(
    home: Home, machine: Machine, here: Path, store: Store, tmp_path: Path, capsys
) -> None:
    machine.sync()
    pull(home.url, "x")
    other = Home(store, tmp_path / "other")
    other.hand_over()
    assert pull(other.url, "x") == 2
    assert f"was pulled from {home.url}" in capsys.readouterr().err


def test_a_sweep_that_is_driven_from_there_is_refused(
    home: Home, machine: Machine, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.sync()
    home.lease(time=0)
    home.depot.close(home.sweep.jobs)
    pull(home.url)
    with driver.Claim(Sweep.open(here / "curves"), lambda text: None):
        assert pull(home.url) == 2
    assert "drives the sweep from" in capsys.readouterr().err


def test_jobs_beside_the_sweep_come_beside_it(store: Store, tmp_path: Path, here: Path) -> None:
    home = Home(store, tmp_path / "office", jobs=("0", "../other/1"))
    home.hand_over()
    machine = Machine(home, tmp_path / "machine")
    machine.start(1)
    machine.sync()
    assert pull(home.url, "copy") == 0
    assert (here / "other/1/progress.csv").exists()
    assert job.read(Sweep.open(here / "copy").jobs[1].directory).state is JobState.RUNNING
    machine.write(1, rows=5)
    machine.sync()
    assert pull(home.url, "copy") == 0
    assert (here / "other/1/progress.csv").read_text().count("\n") == 6


def test_something_else_beside_it_is_not_touched(
    store: Store, tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(store, tmp_path / "office", jobs=("0", "../other/1"))
    home.hand_over()
    machine = Machine(home, tmp_path / "machine")
    machine.start(1)
    machine.sync()
    (here / "other").mkdir()
    assert pull(home.url, "copy") == 2
    assert f"{here / 'other'} is there already" in capsys.readouterr().err
    assert tree(here) == {}


# Nothing else is written


HOSTILE = [
    "curves/../../evil", "../evil", "curves/./evil", "/evil/x", "evil", ".evil/x", "curves//evil",
    "curves/.launchkit/driver-9.json", "curves/.launchkit/pulled.json",
    "curves/.launchkit/sweep.json", "curves/.launchkit/payload.pkl",
    ".home/sweep/../../../evil", ".home/sweep/evil",
]  # fmt: skip


def test_names_that_lead_elsewhere_are_left_out(
    home: Home, machine: Machine, here: Path, world: S3World, capsys
) -> None:
    machine.sync()
    pull(home.url)
    before = tree(here.parent)
    world.fill([f"{home.depot.base}/{name}" for name in HOSTILE])
    assert pull(home.url) == 0
    after = tree(here.parent)
    record = "work/curves/.launchkit/pulled.json"
    assert before.pop(record)
    assert after.pop(record)
    assert after == before
    assert "left out: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("curves/0/a", "/etc/passwd"),
        ("curves/0/a", "../../.."),
        ("curves/0/a", "../../other"),
        ("curves/0/a", "b/../../../x"),
        ("curves/0/a", ""),
    ],
)
def test_links_that_lead_elsewhere_are_left_out(
    home: Home, machine: Machine, here: Path, name: str, target: str, capsys
) -> None:
    path = machine.root / name
    path.symlink_to(target or "x")
    machine.sync()
    home.put(name, os.fsencode(target))
    assert pull(home.url) == 0
    assert not os.path.lexists(here / name)
    assert f"left out: the link '{name}' leads elsewhere" in capsys.readouterr().err


def test_nothing_is_written_through_a_link(
    home: Home, machine: Machine, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine.jobs[0].directory / "way").symlink_to("../1")
    machine.sync()
    pull(home.url)
    assert (here / "curves/0/way").is_symlink()
    home.put("curves/0/way/evil", b"x")
    assert pull(home.url) == 0
    assert not (here / "curves/1/evil").exists()
    assert "'curves/0/way/evil' is behind a link" in capsys.readouterr().err


def test_a_link_that_comes_with_what_is_behind_it_is_no_way_either(
    home: Home, machine: Machine, here: Path
) -> None:
    (machine.jobs[0].directory / "way").symlink_to("../1")
    machine.sync()
    home.put("curves/0/way/evil", b"x")
    pull(home.url)
    pull(home.url)
    assert not (here / "curves/1/evil").exists()


def test_a_lease_that_names_no_process_harms_nothing(
    home: Home, machine: Machine, here: Path
) -> None:
    machine.sync()
    home.lease(process="nonsense")
    assert pull(home.url) == 0
    assert cli.main(["status", str(here / "curves")]) == 0


@pytest.mark.parametrize("where", [".home/batches/000005.tar.gz", ".home/closing.tar.gz"])
def test_archives_that_lead_elsewhere_are_unpacked_without_that(
    home: Home, machine: Machine, here: Path, where: str, capsys
) -> None:
    def make(archive: tarfile.TarFile) -> None:
        for name in ("../evil", "/evil", "curves/../../evil", "curves/0/fine"):
            archive.addfile(tarfile.TarInfo(name))
        for kind, name, target in (
            (tarfile.SYMTYPE, "curves/0/away", "/"),
            (tarfile.SYMTYPE, "curves/0/away2", "../../.."),
            (tarfile.SYMTYPE, "curves/0/way", "../1"),
            (tarfile.REGTYPE, "curves/0/way/evil", ""),
            (tarfile.LNKTYPE, "curves/0/same", "curves/0/fine"),
            (tarfile.CHRTYPE, "curves/0/device", ""),
            (tarfile.FIFOTYPE, "curves/0/fifo", ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)

    machine.sync()
    home.put(".home/closed", b"{}")
    home.put_tar(where, make)
    assert pull(home.url) == 0
    assert (here / "curves/0/fine").exists()
    assert (here / "curves/0/same").exists()
    for name in ("0/away", "0/away2", "1/evil", "0/device", "0/fifo"):
        assert not os.path.lexists(here / "curves" / name)
    assert [path.name for path in here.iterdir()] == ["curves"]
    assert not (here.parent / "evil").exists()


def test_a_broken_archive_is_told_by_the_exit_code(
    home: Home, machine: Machine, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.sync()
    home.put(".home/batches/000005.tar.gz", b"\x1f\x8bno archive")
    assert pull(home.url) == 1
    assert "000005.tar.gz cannot be unpacked" in capsys.readouterr().err
    assert (here / "curves/1/progress.csv").exists()


# Which


def test_a_prefix_lists_its_sweeps(
    home: Home, machine: Machine, store: Store, tmp_path: Path, here: Path, capsys
) -> None:
    over, left = Home(store, tmp_path / "a", "over"), Home(store, tmp_path / "b", "left")
    for each in (over, left):
        each.hand_over()
    over.depot.close(over.sweep.jobs)
    left.lease(time=time.time() - 7200)
    store.put(f"{PREFIX}/.archives/abc.dar", b"x")
    for url in (f"{store.url}/{PREFIX}", f"{store.url}/{PREFIX}/"):
        assert pull(url) == 2
        said = capsys.readouterr()
        rows = {line.split()[0]: line for line in said.out.splitlines()[2:]}
        assert set(rows) == {each.sweep.id for each in (home, over, left)}
        assert (
            f"curves     2  driven by process 4711 on office, in {home.sweep.directory}"
            in (rows[home.sweep.id])
        )
        assert rows[over.sweep.id].endswith("closed")
        assert "left by process 4711" in rows[left.sweep.id]
        assert "2.0 h ago" in rows[left.sweep.id]
        assert "name one of them: `launchkit pull s3://" in said.err
    assert not tree(here)


def test_a_prefix_without_sweeps_and_an_address_that_is_none_are_refused(
    store: Store, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(f"{store.url}/nothing/here") == 2
    assert "no sweep in s3://" in capsys.readouterr().err
    assert pull("curves") == 2
    assert "s3://bucket/prefix" in capsys.readouterr().err
    assert pull("s3://no-such-bucket-here/x") == 2
    assert "NoSuchBucket" in capsys.readouterr().err
