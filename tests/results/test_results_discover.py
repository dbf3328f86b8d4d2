"""Which directories are runs, and which path is refused."""

import pytest
from result_trees import put, run, state, sweep

from launchkit.results import load_sweep

CSV = "epoch,loss\n0,1.5\n"


def names(results):
    return [directory.rpartition("/")[2] for directory in results.runs["directory"]]


@pytest.mark.parametrize(
    "file", ["progress.csv", "variant.json", "params.json", ".launchkit/state.json"]
)
def test_a_directory_with_one_of_the_files_of_a_run_is_a_run(tmp_path, file):
    put(tmp_path / "deep" / "run" / file, CSV if file == "progress.csv" else '{"state": "running"}')
    put(tmp_path / "other" / "notes.txt", "")
    assert names(load_sweep(tmp_path)) == ["run"]


def test_a_sweep_one_of_its_runs_and_their_parent_can_be_given(tmp_path):
    root = sweep(tmp_path / "a" / "s", [(["x=1"], "0"), (["x=2"], "1")])
    for num in (0, 1):
        run(root / str(num), {"x": num + 1}, CSV)
    for path in (root, root.parent, tmp_path, str(tmp_path)):
        assert names(load_sweep(path)) == ["0", "1"]
    alone = load_sweep(root / "1").runs
    assert alone[["job", "sweep"]].values.tolist() == [[1, str(root)]]


def test_jobs_beside_their_sweep_are_found_once_from_either_side(tmp_path):
    day = tmp_path / "11-22-test"
    root = sweep(day / "test_sweep", [(["x=1"], "../test_a--s-0"), (["x=2"], "../test_b--s-0")])
    run(day / "test_a--s-0", {"x": 1}, CSV)
    run(day / "test_b--s-0", {"x": 2}, CSV)
    for paths in ([day], [root], [day, root], [tmp_path, day / "test_b--s-0"]):
        runs = load_sweep(*paths).runs
        assert runs["job"].tolist() == [0, 1]
        assert set(runs["sweep"]) == {str(root)}
    assert load_sweep(day / "test_b--s-0").runs["job"].tolist() == [1]


def test_jobs_without_any_file_are_pending(tmp_path):
    sweep(tmp_path, [(["lr=0.1"], "0"), (["lr=0.2"], "1")])
    run(tmp_path / "0", {"lr": 0.1}, CSV, state=state("running"))
    results = load_sweep(tmp_path)
    assert results.runs["state"].tolist() == ["running", "pending"]
    assert results.runs["lr"].tolist() == [0.1, 0.2]
    assert results.runs["rows"].tolist() == [1, 0]
    assert results.problems == []


def test_several_directories_and_globs_give_each_run_once(tmp_path, monkeypatch):
    for name in ("a/run1", "a/run2", "b/run1"):
        run(tmp_path / name, {"name": name}, CSV)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_sweep(tmp_path / "a", tmp_path / "b", tmp_path).runs) == 3
    assert len(load_sweep(f"{tmp_path}/*/run1").runs) == 2
    assert len(load_sweep(f"{tmp_path}/**/run[2]").runs) == 1
    assert len(load_sweep("~/a").runs) == 2
    assert len(load_sweep("~/?/run1", "~/a/run*").runs) == 3


def test_a_directory_with_the_characters_of_a_glob_is_taken_as_it_is(tmp_path):
    run(tmp_path / "lr=[0,1]*", {"a": 1}, CSV)
    assert len(load_sweep(tmp_path / "lr=[0,1]*").runs) == 1


def test_runs_without_a_sweep_are_numbered_in_natural_order(tmp_path):
    for name in ("run10", "run2", "run1"):
        run(tmp_path / name, {"a": 1}, CSV)
    results = load_sweep(tmp_path)
    assert names(results) == ["run1", "run2", "run10"]
    assert results.runs["job"].tolist() == [0, 1, 2]
    assert results.runs["sweep"].isna().all()


def test_symlinked_directories_are_not_followed_below_a_path_but_are_as_a_path(tmp_path):
    target = run(tmp_path / "runs" / "0", {"a": 1}, CSV)
    (tmp_path / "runs" / "latest").symlink_to(target)
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    assert len(load_sweep(tmp_path / "runs").runs) == 1
    assert len(load_sweep(tmp_path / "link", tmp_path / "runs").runs) == 1


@pytest.mark.parametrize("hidden", [".hydra", ".git", ".launchkit"])
def test_what_is_not_a_run_is_not_searched(tmp_path, hidden):
    run(tmp_path / "run", {"a": 1}, CSV)
    run(tmp_path / "run" / hidden / "x", {"a": 1}, CSV)
    assert names(load_sweep(tmp_path)) == ["run"]


def test_a_path_that_cannot_be_loaded_is_named(tmp_path):
    run(tmp_path / "good", {"a": 1}, CSV)
    (tmp_path / "empty").mkdir()
    file = put(tmp_path / "file", "")
    with pytest.raises(FileNotFoundError, match=r"nowhere.*does not exist"):
        load_sweep(tmp_path / "good", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"nowhere\*.*matches no directory"):
        load_sweep(f"{tmp_path}/nowhere*")
    with pytest.raises(NotADirectoryError, match=r"file.*is a file"):
        load_sweep(file)
    with pytest.raises(ValueError, match=r"no runs in .*empty"):
        load_sweep(tmp_path / "good", tmp_path / "empty")
    with pytest.raises(ValueError, match="no directory given"):
        load_sweep()


def test_a_line_of_the_job_list_that_is_no_job_is_reported(tmp_path):
    sweep(tmp_path, [(["x=1"], "0")])
    with (tmp_path / ".launchkit" / "jobs.jsonl").open("a") as stream:
        stream.write('{"num": "?"}\n[1]\n{"num": 2, "over')
    results = load_sweep(tmp_path)
    assert results.runs["job"].tolist() == [0]
    assert [p.directory for p in results.problems] == [str(tmp_path)] * 2
