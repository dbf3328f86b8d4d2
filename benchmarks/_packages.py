"""What the app imports, as a directory of the import path."""

from __future__ import annotations

import compileall
from pathlib import Path

from launchkit.outside import needs


def install_packages(target: Path) -> None:
    """Make a directory of the import path that has what the app imports, as pip makes it."""
    for need in needs.needs():
        if need.dist == needs.OWN:
            continue
        for name, source in need.files.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read_bytes())
    compileall.compile_dir(target, quiet=1)
