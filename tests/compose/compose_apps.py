"""The apps whose sweeps are composed: config trees, and the schemas they stand on."""

from __future__ import annotations

import contextlib
import textwrap
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime, setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import InterpolationToMissingValueError


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Schedule:
    kind: str = "constant"
    warmup: int = 0
    factors: list[float] = field(default_factory=lambda: [1.0, 0.1])


@dataclass
class Solver:
    steps: int = 10
    tolerance: float = 1e-3
    schedule: Schedule = field(default_factory=Schedule)


@dataclass
class FastSolver(Solver):
    steps: int = 1
    shortcuts: bool = True


@dataclass
class Problem:
    size: int = 3
    scale: float = 1.0
    exact: bool = False
    title: str | None = None
    colour: Colour = Colour.RED
    sizes: list[int] = field(default_factory=lambda: [1, 2])
    table: dict[str, int] = field(default_factory=lambda: {"a": 1})
    solver: Solver = field(default_factory=Solver)
    needed: int = "${oc.env:NOT_THERE,7}"  # type: ignore[assignment]  # an interpolation
    missing: int = "???"  # type: ignore[assignment]  # omegaconf's word for it
    anything: Any = None


# A plain app: groups in groups, packages, a mandatory group, interpolations.
NET = {
    "config.yaml": """
        defaults:
          - model: small
          - optimizer@train.optimizer: sgd
          - data: ???
          - optional extra: nothing_there
          - _self_
        seed: 0
        lr: 0.1
        name: run
        flag: false
        nothing: null
        must: ???
        twice: ${lr}
        nowhere: ${not.a.key}
        stamp: ${now:%H-%M-%S-%f}
        environment: ${oc.env:COMPOSE_TEST}
        rate: ${train.optimizer.lr}
        widths: [64, 64]
        nested: {a: 1, b: {c: two, d: [1, {e: 2}]}}
        train: {epochs: 3}
        hydra:
          job:
            env_set: {LR: "${lr}", SEED: "${seed}"}
            env_copy: [COMPOSE_TEST]
            config: {override_dirname: {kv_sep: "~", item_sep: ";", exclude_keys: [seed]}}
          sweep: {dir: "sweeps/${now:%H-%M-%S-%f}", subdir: "${hydra.job.override_dirname}"}
        """,
    "model/small.yaml": "{layers: 1, width: 8, path: 'a b'}",
    "model/big.yaml": """
        defaults: [head: mlp]
        layers: 9
        width: ${lr}
        """,
    "model/head/mlp.yaml": "{hidden: [1, 2]}",
    "model/head/linear.yaml": "{bias: true}",
    "optimizer/sgd.yaml": "{lr: '${seed}', momentum: 0.9}",
    "optimizer/adam.yaml": "{lr: 1e-3, betas: [0.9, 0.999]}",
    "data/mnist.yaml": "{classes: 10, size: '???'}",
    "data/folder.yaml": """
        # @package _global_
        data_root: /data
        classes: ${nested.a}
        """,
    "experiment/wide.yaml": """
        # @package _global_
        defaults: [override /model: big]
        widths: [256, 256, 256]
        nested: {a: 5, b: {c: null}}
        """,
    "experiment/deep.yaml": """
        # @package _global_
        defaults: [override /model: big, override /optimizer@train.optimizer: adam]
        model: {layers: 100}
        """,
}

# An app on structured configs, schema first.
TYPED = {
    "config.yaml": """
        defaults:
          - compose_problem
          - solver: fast
          - _self_
        size: 4
        scale: ${size}
        table: {b: 2}
        hydra:
          job: {env_set: {SIZE: "${size}"}}
          sweep: {subdir: "${size}/${hydra.job.num}"}
        """,
    "solver/slow.yaml": """
        defaults: [compose_solver]
        steps: 1000
        schedule: {warmup: ${size}}
        """,
}

# An app whose hydra node, and whose defaults, are made of the app's own values.
KNOTTED = {
    "config.yaml": """
        defaults:
          - side: left
          - turn: sharp
          - way: ${side}_${turn}
          - pair@first: one
          - pair@second: two
          - _self_
        title: ???
        copied: []
        left_out: [x]
        separator: "-"
        x: 1
        y: {z: [1, 2]}
        jobs: 1
        verbose: false
        hydra:
          verbose: ${verbose}
          job:
            name: ${title}
            env_copy: ${copied}
            env_set: {TITLE: "${title}"}
            config:
              override_dirname: {item_sep: "${separator}", exclude_keys: "${left_out}"}
          sweep: {dir: "${title}", subdir: "${x}_${hydra.job.override_dirname}"}
          sweeper: {params: {}, max_batch_size: "${jobs}"}
        """,
    "side/left.yaml": "{a: 1}",
    "side/right.yaml": "{b: 2}",
    "turn/sharp.yaml": "{degrees: 90}",
    "turn/slight.yaml": "{degrees: '${x}'}",
    "way/left_sharp.yaml": "{is: left_sharp}",
    "way/left_slight.yaml": "{is: left_slight}",
    "way/right_sharp.yaml": "{is: right_sharp}",
    "pair/one.yaml": "{n: 1, other: '${..second}'}",
    "pair/two.yaml": "{n: 2}",
}

# An app that does not compose until `title` is set.
UNMADE = {
    "config.yaml": """
        title: ???
        x: 1
        hydra: {job: {env_copy: ["${title}"]}}
        """
}

# What the multirun is started with, beside what it sweeps over.
STARTED_WITH = {
    "net": ["hydra.job.chdir=false", "+hydra.job.env_set.STARTED=1"],
    "typed": [],
    "knotted": [],
    "unmade": ["title=COMPOSE_TEST"],
}

TREES = {"net": NET, "typed": TYPED, "knotted": KNOTTED, "unmade": UNMADE}


def write(root: Path) -> None:
    """Write every app's config tree, and register the schemas."""
    for app, tree in TREES.items():
        for name, text in tree.items():
            path = root / app / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # A package header must be the first line.
            path.write_text(textwrap.dedent(text).lstrip("\n"))
    store = ConfigStore.instance().store
    store(name="compose_problem", node=Problem)
    store(group="solver", name="compose_solver", node=Solver)
    store(group="solver", name="fast", node=FastSolver)


class App:
    """An app: Hydra's own loader of its configs, and the multirun's config."""

    def __init__(self, directory: Path, overrides: list[str]) -> None:
        Plugins.instance()
        setup_globals()
        JobRuntime.instance().set("name", "compose_test")
        self.loader = ConfigLoaderImpl(create_config_search_path(str(directory)))
        self.master: DictConfig = self.loader.load_configuration(
            "config", overrides, RunMode.MULTIRUN
        )
        # As Hydra does before any job: it fixes what the multirun calls `now`.
        with contextlib.suppress(InterpolationToMissingValueError):
            str(self.master.hydra.sweep.dir)
