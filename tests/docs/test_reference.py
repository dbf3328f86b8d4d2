"""docs/configuration.md has every setting of every mode and of the callback, with its default."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

import hydra_plugins.launchkit_launcher.config  # noqa: F401 - registers the settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))
NOT_SETTINGS = {"_target_", "mode"}


def registered() -> list[str]:
    return [
        f"hydra/{group}={name.removesuffix('.yaml')}"
        for group in ("launcher", "callbacks")
        for name in ConfigStore.instance().list(f"hydra/{group}")
        if name.startswith("launchkit")
    ]


def settings(choice: str) -> dict[str, Any]:
    """Return the defaults that Hydra composes, by the keys that a user writes."""
    group, _, name = choice.partition("=")
    node: Any = OmegaConf.to_container(ConfigStore.instance().load(f"{group}/{name}.yaml").node)
    prefix = "hydra.launcher"
    if group == "hydra/callbacks":
        prefix, node = f"hydra.callbacks.{name}", node[name]
    return {f"{prefix}.{key}": node[key] for key in node if key not in NOT_SETTINGS}


def documented(choice: str) -> dict[str, Any]:
    section = PAGE.partition(f"## `{choice}`\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| .+? \| `(.*?)` \| .+ \|$", section, re.MULTILINE)
    return {key: yaml.safe_load(default) for key, default in rows}


def test_there_is_something_to_document() -> None:
    assert {"hydra/launcher=launchkit_local", "hydra/callbacks=launchkit"} <= {*registered()}


@pytest.mark.parametrize("choice", registered())
def test_every_setting_is_there_with_its_default(choice: str) -> None:
    assert documented(choice) == settings(choice)


def test_the_page_is_what_the_generator_makes() -> None:
    groups = GENERATE["read_groups"](GENERATE["SOURCE"].read_text(encoding="utf-8"))
    assert GENERATE["page"](groups) == PAGE, "run `python docs/generate.py`"


def test_a_setting_without_a_docstring_is_refused() -> None:
    groups = GENERATE["read_groups"]('class C:\n    mode: str = "m"\n    n: int = 1\n')
    with pytest.raises(ValueError, match=r"C\.n has no docstring"):
        GENERATE["page"](groups)
