"""``launchkit gcp setup``: the least that sweeps on Google Cloud need, shown, or made."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from launchkit.commands.setting_up import carry_out

if TYPE_CHECKING:
    from launchkit.cloud.gcp_policies import Names

FAILED = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser(
        "gcp", help="what sweeps on Google Cloud need; `setup --apply` makes it"
    )
    parser.add_argument(
        "action",
        choices=("setup",),
        help="show the bucket, service account and roles that are needed",
    )
    parser.add_argument("--project", required=True, help="the project")
    parser.add_argument("--bucket", required=True, help="the bucket for the sweeps")
    parser.add_argument(
        "--prefix", default="launchkit", help="where sweeps are in the bucket (launchkit)"
    )
    parser.add_argument(
        "--name",
        default="launchkit",
        help="what the service account is called, and its roles begin with (launchkit)",
    )
    parser.add_argument(
        "--location", default="US", help="where a bucket is made: a region, US, EU or ASIA (US)"
    )
    parser.add_argument("--apply", action="store_true", help="make what is not there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show what is needed, or make it; return 1 if that cannot be."""
    from launchkit.cloud.providers import ProviderError  # noqa: PLC0415 - other commands start fast

    try:
        # Google's client is an extra, and takes its time.
        from launchkit.cloud.gcp_policies import Names  # noqa: PLC0415
        from launchkit.cloud.gcp_setup import GcpSetup  # noqa: PLC0415

        names = Names(
            options.project, options.bucket, options.prefix, options.name, options.location
        )
        setup = GcpSetup(names)
        _show_by_hand(names)
        carry_out(
            setup,
            f"project {names.project}",
            lambda role: f"the account has the role {role}",
            names.settings,
            make=options.apply,
        )
    except ProviderError as error:
        sys.stdout.flush()
        print(f"launchkit: {error}", file=sys.stderr)
        return FAILED
    return 0


def _show_by_hand(names: Names) -> None:
    """Print what makes the same, to be read, or given to an administrator, without credentials."""
    print("by hand:")
    for line in names.commands():
        print(f"  {line}")
    for file, condition in names.conditions().items():
        print(f"where {file} is")
        print(json.dumps(condition, indent=2))
