"""Write docs/configuration.md from the dataclasses that are the settings.

::

    python docs/generate.py
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "hydra_plugins" / "launchkit_launcher" / "_settings.py"
PAGE = ROOT / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

Every setting of every mode, and of the callback. This page is made from the dataclasses in
`hydra_plugins/launchkit_launcher/_settings.py` by `python docs/generate.py`; a test compares
the two.

A mode is chosen with `hydra/launcher=launchkit_<mode>`, and its settings are keys of
`hydra.launcher`:

```sh
python examples/train.py -m hyperparam2=1,2,3 hydra/launcher=launchkit_local hydra.launcher.n_jobs=2
```

A wrong key, or a value of a wrong type, is Hydra's own error, before anything runs. Settings that
belong to a machine are kept in a file `conf/hydra/launcher/<name>.yaml`, whose defaults list names
one of these launchers; [`conf/hydra/launcher/laptop.yaml`](../conf/hydra/launcher/laptop.yaml) is
one. `launchkit modes` tells which modes can run where you are.

One launcher runs a whole sweep, so its own settings cannot be swept over: Hydra says so. Three of
them may differ by job all the same: `gpus_per_job`, `cpus_per_job` and `timeout_min` may refer to
the config, as in `hydra.launcher.gpus_per_job='${model.gpus}'`, and are then those of each job's
own config; see [Settings by job](hydra.md#settings-by-job).
"""


@dataclass(frozen=True)
class Setting:
    """A field of a dataclass: its name, the YAML of its default, its type and docstring."""

    name: str
    default: str
    kind: str
    text: str


@dataclass(frozen=True)
class Group:
    """A dataclass: its name, its docstring, what it is registered as, its own fields."""

    name: str
    bases: tuple[str, ...]
    text: str
    mode: str | None
    settings: list[Setting] = field(default_factory=list)


def read_groups(source: str) -> dict[str, Group]:
    """Return the dataclasses of a module, by name."""
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    return {node.name: _group(node) for node in classes}


def page(groups: dict[str, Group]) -> str:
    """Return the page as Markdown.

    Raises
    ------
    ValueError
        If a setting has no docstring.
    """
    return "\n".join([INTRODUCTION, *_sections(groups)])


def _sections(groups: dict[str, Group]) -> Iterator[str]:
    for group in groups.values():
        if group.mode is not None:
            title, prefix = f"hydra/launcher=launchkit_{group.mode}", "hydra.launcher"
        elif group.name == "CallbackConf":
            title, prefix = "hydra/callbacks=launchkit", "hydra.callbacks.launchkit"
        else:
            continue
        settings = _all_settings(group, groups)
        yield f"## `{title}`\n\n{group.text}\n"
        yield "| key | type | default | |\n|---|---|---|---|"
        for setting in settings:
            text = " ".join(setting.text.split())
            if not text:
                raise ValueError(f"{group.name}.{setting.name} has no docstring below it")
            # The names of other keys and of values stand between double backquotes there.
            text = re.sub(r"``(.+?)``", r"`\1`", text).replace("|", r"\|")
            yield f"| `{prefix}.{setting.name}` | {setting.kind} | `{setting.default}` | {text} |"
        yield ""


def _all_settings(group: Group, groups: dict[str, Group]) -> list[Setting]:
    """Return the settings of a dataclass: its own first, and those that all share last."""
    found = {setting.name: setting for setting in group.settings}
    common: dict[str, Setting] = {}
    for base in group.bases:
        for setting in _all_settings(groups[base], groups):
            kept = common if setting in groups["SweepConf"].settings else found
            # What a dataclass says anew, its default say, counts.
            kept.setdefault(setting.name, setting)
    return [*found.values(), *common.values()]


def _group(node: ast.ClassDef) -> Group:
    bases = tuple(map(ast.unparse, node.bases))
    settings, mode = [], None
    for at, statement in enumerate(node.body):
        if not isinstance(statement, ast.AnnAssign) or statement.value is None:
            continue
        name = ast.unparse(statement.target)
        if name == "mode":
            mode = ast.literal_eval(statement.value)
        elif not name.startswith("_"):
            below = node.body[at + 1] if at + 1 < len(node.body) else None
            settings.append(_setting(name, statement.annotation, statement.value, below))
    return Group(node.name, bases, ast.get_docstring(node) or "", mode, settings)


def _setting(name: str, annotation: ast.expr, value: ast.expr, below: ast.stmt | None) -> Setting:
    documented = (
        isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    )
    text = below.value.value if documented else ""  # type: ignore[union-attr]  # just checked
    return Setting(name, _yaml(value), _kind(annotation), text)


def _yaml(value: ast.expr) -> str:
    """Return the YAML of a default, which is a literal or ``field(default_factory=...)``."""
    if isinstance(value, ast.Call):
        (factory,) = (word.value for word in value.keywords if word.arg == "default_factory")
        if isinstance(factory, ast.Lambda):
            return f"[{', '.join(ast.literal_eval(factory.body))}]"
        return {"list": "[]", "dict": "{}"}.get(ast.unparse(factory), ast.unparse(factory))
    if isinstance(value, ast.Name):  # MISSING
        return "???"
    literal = ast.literal_eval(value)
    if literal is None:
        return "null"
    return str(literal).lower() if isinstance(literal, bool) else str(literal) or "''"


def _kind(annotation: ast.expr) -> str:
    text = ast.unparse(annotation)
    optional = re.fullmatch(r"Optional\[(.+)\]", text)
    if optional:
        return f"{optional[1]} or null"
    items = re.fullmatch(r"List\[(.+)\]", text)
    return f"list of {items[1]}" if items else text.replace("Any", "any")


if __name__ == "__main__":
    PAGE.write_text(page(read_groups(SOURCE.read_text(encoding="utf-8"))), encoding="utf-8")
