"""Nothing of the command line reaches a shell: whatever it is, it arrives unchanged."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import outside_experiments
import pytest
from apps import App
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from outside_apps import KEEP, spells, sweep
from outside_modes import (
    DOCKER,
    EC2,
    GCP,
    IN_IMAGES,
    MODES,
    SLURM,
    SLURM_IMAGE,
    SSH_DOCKER,
    SSS,
    OutsideMode,
    params,
    quoted,
)

from launchkit.launcher_util import run_experiment

pytestmark = pytest.mark.long
CANARY = "CANARY"
"""Stands, in what is drawn, for the path of a file that nobody is to make."""
PIECES = (
    *(f"$(touch {CANARY})", f"`touch {CANARY}`", f"; touch {CANARY};", f"| touch {CANARY}"),
    *(f"&& touch {CANARY}", f"\n touch {CANARY}\n", f"> {CANARY}", f"' ; touch {CANARY} ; '"),
    *(f'" ; touch {CANARY} ; "', f"'\"'$(touch {CANARY})'\"'", f"\\$(touch {CANARY})"),
    *(
        "${HOME}",
        "$HOME",
        "$1",
        "$@",
        "~",
        "*",
        "?",
        "!!",
        "%j",
        "%%",
        "#",
        "\\",
        "\\\\n",
        "=",
        ",",
    ),
    *("'", '"', "[1]", "{a: b}", "--help", "-rf", "--", "ü漢😀", "e\u0301", "\u2028", "\u202e"),
    *(" ", "  ", "\t", "\r\n", "\n", "\x1b[31m", "\x7f", "null", "true", "1e3", "EOF", "x" * 3000),
)
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
)
OF_FILES = 'it\'s a "dir" ü漢 $(touch canary) `id` ;|&<> %j %% #*?!~{}[]^ $HOME - a=b'
ALWAYS = ("", "-rf", "--help", "a b", "it's", '"', "\n", "\t", f"$(touch {CANARY})", "${HOME}")
FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a smaller example costs many sweeps
)


@contextmanager
def place() -> Iterator[tuple[Path, Path]]:
    """Make a directory with a hostile name, and say where everybody can make the canary."""
    with (
        tempfile.TemporaryDirectory() as outer,
        tempfile.TemporaryDirectory(prefix="canary") as open_to_all,
    ):
        Path(outer).chmod(0o755)
        Path(open_to_all).chmod(0o777)
        directory = Path(outer, OF_FILES)
        directory.mkdir()
        yield directory, Path(open_to_all, "made")


def seeing(mode: OutsideMode, canary: Path) -> dict[str, Any]:
    """Return settings with which jobs could make the canary where it is watched."""
    if mode in (DOCKER, SSH_DOCKER, EC2, GCP):
        known = mode.settings.get("container_args", [])
        return {"container_args": [*known, f"--volume={canary.parent}:{canary.parent}"]}
    # Slurm takes its time for each task.
    return {"jobs_per_task": 5} if mode in (SLURM, SLURM_IMAGE, SSS) else {}


@pytest.mark.parametrize("mode", params(*MODES, *IN_IMAGES))
@given(data=st.data())
@FEW
def test_values_names_and_variables_arrive_as_they_were_written(
    mode: OutsideMode, data: st.DataObject
) -> None:
    texts = TEXTS.filter(spells)
    many = [*ALWAYS, *data.draw(st.lists(texts, min_size=20, max_size=30), "values")]
    swept = data.draw(st.lists(texts, min_size=3, max_size=4, unique=True), "swept")
    # Hydra resolves what is in a launcher's settings twice.
    simple = texts.filter(lambda text: "${" not in text)
    env = data.draw(st.lists(simple, min_size=3, max_size=5), "env")
    with place() as (directory, canary):
        many, swept, env = (
            [text.replace(CANARY, str(canary)) for text in some] for some in (many, swept, env)
        )
        variables = {f"KEPT_{i}": text for i, text in enumerate(env)}
        app = App(directory).write_program(KEEP)
        done = sweep(
            app,
            mode,
            *(f"+v{i}={quoted(text)}" for i, text in enumerate(many)),
            f"+swept={','.join(map(quoted, swept))}",
            f"hydra.job.name={quoted(OF_FILES)}",
            directory=f"-{OF_FILES}",
            env=variables,
            **seeing(mode, canary),
        )
        kept = [json.loads((job / "kept.json").read_text("utf-8")) for job in done.jobs]
        values = done.values
        assert not canary.exists()
        assert not list(directory.rglob("canary"))
    configs = [{f"v{i}": v for i, v in enumerate(many)} | {"swept": text} for text in swept]
    assert [job["config"] for job in kept] == configs
    assert values == configs
    assert [job["env"] for job in kept] == [variables] * len(swept)
    assert {job["name"] for job in kept} == {OF_FILES}


@pytest.mark.parametrize("mode", params(without=[SSS]))
@given(texts=st.lists(TEXTS, min_size=20, max_size=30, unique=True))
@FEW
def test_what_is_in_a_variant_arrives_as_it_is(mode: OutsideMode, texts: list[str]) -> None:
    with place() as (directory, canary):
        texts = [text.replace(CANARY, str(canary)) for text in (*ALWAYS, *texts)]
        variant = {"swept": texts[:3], "all": tuple(texts), "keys": dict.fromkeys(texts, 1)}
        values = run_experiment(
            outside_experiments.give_back,
            variant=variant,
            exp_prefix=f"-{OF_FILES}",
            base_log_dir=directory,
            seed=1,
            **mode.keywords(code_dirs=[str(Path(__file__).parent)], **seeing(mode, canary)),
        )
        assert not canary.exists()
        assert not list(directory.rglob("canary"))
    assert [value["swept"] for value in values] == texts[:3]
    for value in values:
        assert value["all"] == tuple(texts)
        assert value["keys"] == variant["keys"]
