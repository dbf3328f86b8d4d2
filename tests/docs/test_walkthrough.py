"""The walk-through is what its script says, with commands that there are; the recorder records."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hydra_plugins.launchkit_launcher._settings import NODES
from launchkit import commands

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RECORDED = {"walkthrough.in": "walkthrough.md", "clouds.in": "clouds-walkthrough.md"}
PAGE = (DOCS / "walkthrough.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SCRIPTING: dict[str, Any] = runpy.run_path(str(DOCS / "recording" / "script.py"))

SMALL = """\
# Small

```python job.py
import sys
import hydra
import time

@hydra.main(version_base=None, config_path=None)
def main(cfg):
    time.sleep(cfg.s)
    print("slept", cfg.s)

main()
```

```console one
$ S="hydra/launcher=launchkit_local hydra.launcher.detach=true"
$ python job.py -m +s=0.1,60 hydra.sweep.dir=sweep $S
```

<!-- let pid = process (\\d+) -->
<!-- wait launchkit status sweep | grep -q '1 running, 1 completed' -->
<!-- close one -->
<!-- readme part -->
```console two
$ launchkit logs sweep 0
```

<!-- run kill -9 {pid} -->
<!-- wait launchkit status sweep | grep -q lost -->
<!-- picture small.svg when 1 completed, 1 lost -->
```console two
$ launchkit status sweep
```

<!-- exits 2 -->
```console two
$ launchkit status nowhere
```

<!-- answer yes when sure -->
```console two
$ read -p 'sure? ' said; echo "said $said"
```
"""


def record(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    (directory / "script.in").write_text(script, encoding="utf-8")
    (directory / "readme.md").write_text("<!-- part: begin -->\nold\n<!-- part: end -->\n")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    options = ["--script", "script.in", "--page", "page.md", "--readme", "readme.md"]
    return subprocess.run(
        [sys.executable, DOCS / "record.py", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_recorder_records(tmp_path: Path) -> None:
    done = record(tmp_path, SMALL)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "+s=0.1,60" in page and "2 jobs handed over to process" in page
    assert "1 completed, 1 lost" in page
    assert "launchkit: " in page.partition("status nowhere")[2]
    assert "sure? yes\nsaid yes\n" in page
    assert "<!--" not in page
    assert "/tmp/" not in page and str(ROOT) not in page
    readme = (tmp_path / "readme.md").read_text(encoding="utf-8")
    assert "$ launchkit logs sweep 0\nslept 0.1\n" in readme and "old" not in readme
    assert "1 completed, 1 lost" in (tmp_path / "small.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("```console one\n$ false\n```\n", "exit code 1, not 0"),
        ("<!-- exits 1 -->\n```console one\n$ true\n```\n", "exit code 0, not 1"),
        ("```console one\n$ echo a\n```\n<!-- let x = (b) -->\n", "'(b)' is not in"),
        (
            "<!-- picture p.svg when b -->\n```console one\n$ echo a\n```\n",
            "the screen never matched 'b'",
        ),
    ],
)
def test_what_went_otherwise_than_the_script_says_is_no_page(
    tmp_path: Path, script: str, complaint: str
) -> None:
    done = record(tmp_path, script)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize("name", RECORDED)
def test_the_page_is_of_this_script(name: str) -> None:
    script = (DOCS / "recording" / name).read_text(encoding="utf-8")
    page = (DOCS / RECORDED[name]).read_text(encoding="utf-8")
    parts = [*SCRIPTING["parse"](script)]
    at = 0
    for part in parts:
        for pattern in expected(part):
            found = re.compile(pattern).search(page, at)
            assert found, f"run docs/record.py: {RECORDED[name]} lacks {pattern[:200]}"
            at = found.end()
    assert len(parts) > 20


def expected(part: Any) -> list[str]:
    """Return what the page has for a part of the script, as patterns."""
    kind = type(part).__name__
    if kind == "Commands":
        return [pattern_of(line) for line in part.lines]
    return [re.escape(part.text)] if kind in ("Prose", "File") else []


def pattern_of(line: str) -> str:
    typed = re.sub(r"\\\{\w+\\\}", r"\\S+", re.escape(line))
    return rf"(?m:^\$ {typed}$)"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="launchkit")
    commands.register(found.add_subparsers(required=True))
    return found


def commands_of(text: str) -> list[list[str]]:
    """Return the arguments of each `launchkit …` that is typed in a block of a page."""
    lines = re.findall(r"^\$ launchkit (\w.*)", text, re.MULTILINE)
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        lines += re.findall(r"^launchkit (\w.*)", block, re.MULTILINE)
    return [words_of(line) for line in lines]


def named_in(text: str) -> list[list[str]]:
    """Return the arguments of each `launchkit …` that the text of a page speaks of."""
    return [words_of(line) for line in re.findall(r"`launchkit ([a-z][^`]*)`", text)]


def words_of(line: str) -> list[str]:
    # Words in capitals stand for a directory, or a number.
    plain = re.sub(r"\b[A-Z_]+\b", "1", re.sub(r"[][…]", "", line))
    return shlex.split(plain.partition(" |")[0], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_are_commands(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in commands_of(text):
        assert parses(words), words
    for words in named_in(text):
        # The directory may go without saying.
        assert parses(words) or parses([*words, "1"]) or parses([*words, "1", "1"]), words


def parses(words: list[str]) -> bool:
    try:
        parser().parse_args(words)
    except SystemExit as exit_:
        return exit_.code == 0  # that of --help
    return True


def test_the_walkthrough_has_the_commands_that_it_is_to_show() -> None:
    shown = {words[0] for words in commands_of(PAGE)}
    assert {"status", "wait", "logs", "cancel", "resume", "table", "reproduce", "list"} <= shown


def test_a_command_that_is_none_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text in ("$ launchkit status DIR --sideways", "$ launchkit status", "`launchkit follow`"):
        page.write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError):
            test_the_commands_of_a_page_are_commands(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_settings_of_a_page_are_settings(page: Path) -> None:
    confs = [conf for (group, _), conf in NODES.items() if group == "hydra/launcher"]
    known = {field.name for conf in confs for field in fields(conf)}
    named = re.findall(r"hydra\.launcher\.(\w+)", page.read_text(encoding="utf-8"))
    others = {"ray", "timeout", "gpus_per_node"} if page.name == "comparison.md" else set()
    assert {*named} - known - others == set()


def fields(conf: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(conf)
