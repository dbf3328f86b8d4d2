"""The snippets of the documents that are marked as runnable run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNNABLE = re.compile(r"<!-- runnable -->\n```python\n(.*?)```", re.DOTALL)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if RUNNABLE.search(page.read_text(encoding="utf-8"))
]


def test_the_pages_with_snippets_are_found() -> None:
    assert {"logger.md", "modes.md", "results.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_snippets_of_a_page_run_in_their_order(page: Path, tmp_path: Path) -> None:
    snippets = RUNNABLE.findall(page.read_text(encoding="utf-8"))
    (tmp_path / "snippets.py").write_text("\n".join(snippets), encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "snippets.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_logger_page_lists_the_files_that_its_snippet_leaves(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "logger.md").read_text(encoding="utf-8")
    test_the_snippets_of_a_page_run_in_their_order(ROOT / "docs" / "logger.md", tmp_path)
    table = text.partition("| file | content |\n|---|---|\n")[2].partition("\n\n")[0]
    listed = {line.split("`")[1] for line in table.splitlines()}
    assert listed == {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize(
    "page",
    [
        *PAGES,
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs" / name for name in ("hydra.md", "outside.md", "clouds.md", "commands.md")),
    ],
    ids=lambda p: p.name,
)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith(("http:", "https:", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link
