"""``launchkit``: what is known of a sweep, read from its directory, and what can be done to it."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence

from launchkit import commands
from launchkit._version import __version__
from launchkit.masking import mask_text
from launchkit.sweep import SweepError

DESCRIPTION = "What is known of a sweep, read from its directory, and what can be done to it."
USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code: 2 where it cannot do what it was asked for."""
    for stream in (sys.stdout, sys.stderr):
        # The names of files, and what jobs are called, need not be text in any encoding.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        _forget_stdout()
        return 0
    except (SweepError, OSError, ValueError) as error:
        print(f"launchkit: {mask_text(str(error))}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="launchkit", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"launchkit {__version__}")
    commands.register(parser.add_subparsers(required=True, metavar="COMMAND"))
    return parser


def _forget_stdout() -> None:
    """Let what is still to be written go nowhere, so that the interpreter's end says nothing."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
