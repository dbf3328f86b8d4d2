"""The config a job gets is Hydra's own, byte for byte, whatever the overrides are.

Each property composes the jobs of a sweep twice: by Hydra, and from recipes. The jobs of
a sweep differ in values more than in keys, so that most of them take the short way.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import compose_apps
import compose_overrides
import pytest
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hypothesis import HealthCheck, example, given, settings
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.launchkit_launcher import _compose
from hydra_plugins.launchkit_launcher._compose import with_recipes
from hydra_plugins.launchkit_launcher._recipe import Recipe

EXAMPLES = int(os.environ.get("COMPOSE_EXAMPLES", "20"))
ROOT = Path(__file__).parents[2]
swept = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module", autouse=True)
def apps(tmp_path_factory):
    """Every app on disk, and Hydra's singletons as they were, afterwards."""
    Plugins.instance()  # loaded once, and then part of the state that is restored
    before = Singleton.get_state()
    root = tmp_path_factory.mktemp("apps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOSE_TEST", "here")
        patch.delenv("NOT_THERE", raising=False)
        compose_apps.write(root)
        yield {
            name: compose_apps.App(root / name, overrides)
            for name, overrides in compose_apps.STARTED_WITH.items()
        }
    Singleton.set_state(before)


def described(node: Any) -> Any:
    """Return all there is to a node: types, flags, and what is below it."""
    about = node._metadata
    kinds = (type(node), about.ref_type, about.object_type, about.optional, about.key)
    flags = {name: value for name, value in (about.flags or {}).items() if value is not None}
    inner: Any = node.__dict__.get("_content", None)
    if isinstance(node, DictConfig) and isinstance(inner, dict):
        inner = [(repr(key), described(value)) for key, value in inner.items()]
    elif isinstance(node, ListConfig) and isinstance(inner, list):
        inner = [described(value) for value in inner]
    else:
        inner = repr(node._value())
    of_children = (getattr(about, "key_type", None), getattr(about, "element_type", None))
    return kinds, flags, of_children, inner


def timeless(error: BaseException | None) -> str:
    """Return an error's message: `now` in it is when that very config was composed."""
    return re.sub(r"\d\d-\d\d-\d\d-\d{6}", "<now>", str(error))


def outcome(compose, overrides: list[str]) -> tuple[Any, ...]:
    """Compose, and return all that can be told of the result or of the error."""
    try:
        config = compose(overrides)
    except Exception as error:
        cause = error.__cause__
        return type(error), timeless(error), type(cause), timeless(cause)
    text = OmegaConf.to_yaml(config, resolve=False)
    flags = OmegaConf.is_struct(config), OmegaConf.is_readonly(config)
    cache = config._metadata.resolver_cache
    return text, flags, described(config), {name: dict(cache[name]) for name in cache}


def agree(app: compose_apps.App, jobs: list[list[str]]) -> None:
    loader = with_recipes(app.loader)
    for overrides in jobs:
        hydras = outcome(lambda lines: app.loader.load_sweep_config(app.master, lines), overrides)
        ours = outcome(lambda lines: loader.load_sweep_config(app.master, lines), overrides)
        assert ours == hydras, overrides
        if isinstance(hydras[0], str):
            again = pickle.loads(pickle.dumps(loader.recipe(app.master, overrides)))
            assert outcome(lambda _, recipe=again: recipe.compose(), overrides) == hydras, overrides


@swept
@given(jobs=compose_overrides.sweeps("net"))
def test_groups_packages_and_interpolations(apps, jobs):
    agree(apps["net"], jobs)


@swept
@given(jobs=compose_overrides.sweeps("typed"))
def test_structured_configs(apps, jobs):
    agree(apps["typed"], jobs)


@swept
@given(jobs=compose_overrides.sweeps("knotted"))
@example(jobs=[["copied=[]"], ["copied=[]"], ["copied=[]"], ["copied=[COMPOSE_TEST]"]])
@example(jobs=[["title=???"], ["title=???"], ["title=???"], ["title=a"]])
def test_a_hydra_node_made_of_the_apps_values(apps, jobs):
    agree(apps["knotted"], jobs)


@settings(swept, max_examples=max(1, EXAMPLES // 5))
@given(jobs=compose_overrides.sweeps("unmade"))
@example(jobs=[["title=COMPOSE_TEST", f"x={i}"] for i in range(4)])
def test_an_app_that_composes_only_with_its_values(apps, jobs):
    agree(apps["unmade"], jobs)


@pytest.mark.parametrize("name", compose_apps.TREES)
def test_every_app_composes(apps, name):
    """What is compared above is configs, not the one error that every job has."""
    lines = list(compose_overrides.VOCABULARIES[name].needed[:1])
    assert apps[name].loader.load_sweep_config(apps[name].master, lines).hydra


@pytest.mark.parametrize(
    "jobs",
    [
        # The first of two errors is the one that is told.
        [["lr=1,2", "data=nowhere"]] * 3,
        [["data=nowhere", "lr=oops,2"]] * 3,
        [["data=mnist", f"lr={lr}"] for lr in ("1", "2", "3", "[1", "1,2", "{a:1}", "4")],
        [["data=mnist", f"~seed={seed}"] for seed in (0, 0, 0, 1)],
        [["data=mnist", f"+seed={seed}"] for seed in range(4)],
        [["data=mnist", f"unheard_of={value}"] for value in range(4)],
        [["data=mnist", f"model@other={value}"] for value in ("small", "big", "small")],
    ],
    ids=repr,
)
def test_errors_are_hydras_own(apps, jobs):
    agree(apps["net"], jobs)


@pytest.fixture
def originals(monkeypatch):
    """What Hydra itself was asked to compose."""
    asked: list[list[str]] = []
    original = _compose._RecipeLoader._original

    def counting(self, master_config, overrides):
        asked.append(list(overrides))
        return original(self, master_config, overrides)

    monkeypatch.setattr(_compose._RecipeLoader, "_original", counting)
    return asked


def test_hydra_composes_at_most_four_of_fifty(apps, originals):
    app = apps["net"]
    loader = with_recipes(app.loader)
    seen = [
        loader.load_sweep_config(app.master, ["data=mnist", f"lr={x}"]).lr for x in range(1, 51)
    ]
    assert seen == list(range(1, 51))
    assert len(originals) <= 4


def test_each_choice_of_groups_is_composed_once_and_checked(apps, originals):
    app = apps["net"]
    loader = with_recipes(app.loader)
    for x in range(20):
        for model in ("small", "big"):
            lines = ["data=mnist", f"model={model}", f"seed={x}", f"name='job {x}'"]
            assert loader.load_sweep_config(app.master, lines).seed == x
    assert len(originals) <= 2 * 4


def test_jobs_share_nothing_that_one_of_them_changes(apps):
    app = apps["net"]
    loader = with_recipes(app.loader)
    lines = [["data=mnist", f"widths=[{x},{x}]"] for x in range(6)]
    hydras = [OmegaConf.to_yaml(app.loader.load_sweep_config(app.master, line)) for line in lines]
    for line in lines * 2:
        config = loader.load_sweep_config(app.master, line)
        config.widths.append(99)
        config.nested.a = "changed"
        config.hydra.overrides.task.append("changed")
    assert [OmegaConf.to_yaml(loader.load_sweep_config(app.master, x)) for x in lines] == hydras


@pytest.mark.parametrize("name", ["net", "typed"])
def test_an_unknown_key_is_refused_as_in_hydras_config(apps, name):
    app = apps[name]
    loader = with_recipes(app.loader)
    needed = ["data=mnist"] if name == "net" else []
    for x in range(5):
        lines = [*needed, f"++fresh={x}"]
        for config in (
            app.loader.load_sweep_config(app.master, lines),
            loader.load_sweep_config(app.master, lines),
        ):
            config.fresh = 7
            for node in (config, config.hydra, config.hydra.job):
                assert OmegaConf.is_struct(node)
                assert not OmegaConf.is_readonly(node)
                with pytest.raises(OmegaConfBaseException):
                    node.unheard_of = 1


def test_every_job_has_the_multiruns_time(apps):
    """`now` is resolved once for the multirun; its jobs and their directories agree on it."""
    app = apps["net"]
    now = app.master.stamp
    loader = with_recipes(app.loader)
    for x in range(6):
        config = loader.load_sweep_config(app.master, ["data=mnist", f"lr={x}"])
        assert (config.stamp, config.hydra.sweep.dir) == (now, f"sweeps/{now}")


def test_a_recipe_composes_the_same_in_another_process(apps, tmp_path):
    app = apps["typed"]
    loader = with_recipes(app.loader)
    recipes: list[Recipe] = []
    expected: list[str] = []
    for x in range(5):
        lines = [f"size={x}", f"title='a, {x}'", "colour=BLUE", "+table.c=3"]
        recipes.append(loader.recipe(app.master, lines))
        expected.append(OmegaConf.to_yaml(app.loader.load_sweep_config(app.master, lines)))
    assert recipes[-1].task is not None, "made from a base"
    (tmp_path / "recipes.pkl").write_bytes(pickle.dumps(recipes))
    program = (
        "import pickle, sys\n"
        "from omegaconf import OmegaConf\n"
        "recipes = pickle.load(open(sys.argv[1], 'rb'))\n"
        "texts = [OmegaConf.to_yaml(recipe.compose()) for recipe in recipes]\n"
        "sys.stdout.buffer.write(pickle.dumps(texts))\n"
    )
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "recipes.pkl")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert pickle.loads(done.stdout) == expected
