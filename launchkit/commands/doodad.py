"""``launchkit doodad``: which doodad is in use, and how to get it."""

from __future__ import annotations

import argparse
import sys

ACTIONS = ("show", "install")
FAILED = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("doodad", help="which doodad is in use; `install` gets it")
    parser.add_argument(
        "action", nargs="?", choices=ACTIONS, default="show", help="show (by default) or install"
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        help="install from this URL, or from the path of a clone",
    )
    parser.set_defaults(run=run, refuse=parser.error)


def run(options: argparse.Namespace) -> int:
    """Show doodad, and return 1 if it cannot be used; or install it, and 1 if that fails."""
    if options.action == "install":
        return _install(options.source)
    if options.source is not None:
        options.refuse("--from is for `install`")
    return _show()


def _show() -> int:
    from launchkit.doodad import engine  # noqa: PLC0415 - `launchkit status` is to start fast

    print(engine.describe())
    return FAILED if engine.lacking() else 0


def _install(source: str | None) -> int:
    from launchkit.doodad import engine, install  # noqa: PLC0415

    try:
        done = install.install(install.URL if source is None else source)
    except install.InstallError as error:
        print(f"launchkit: {error}", file=sys.stderr)
        return FAILED
    if done.before:
        print(f"replaced what was in {done.root}: {done.before}")
    print(f"{'installed' if done.new else 'there already'}: {done.root}")
    print(f"in use: {engine.describe()}")
    return 0
