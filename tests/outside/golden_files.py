"""Scripts as they were when somebody last read them."""

from __future__ import annotations

import os
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "LAUNCHKIT_REWRITE_GOLDEN"
"""The environment variable that has the tests write them anew, to be read in the diff."""


def check_golden(name: str, text: str) -> None:
    """Compare a text with the one of a file."""
    path = GOLDEN / name
    if os.environ.get(REWRITE):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{REWRITE}=1 writes {path} anew"
