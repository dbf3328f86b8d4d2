"""``launchkit ec2 setup``: the least that sweeps on EC2 need, shown, or made."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from launchkit.commands.setting_up import carry_out

if TYPE_CHECKING:
    from launchkit.cloud.ec2_setup import Ec2Setup

FAILED = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("ec2", help="what sweeps on EC2 need; `setup --apply` makes it")
    parser.add_argument(
        "action",
        choices=("setup",),
        help="show the bucket, role and security group that are needed",
    )
    parser.add_argument("--bucket", required=True, help="the bucket for the sweeps")
    parser.add_argument("--region", help="the region (by default the one of AWS's own settings)")
    parser.add_argument(
        "--prefix", default="launchkit", help="where sweeps are in the bucket (launchkit)"
    )
    parser.add_argument(
        "--name",
        default="launchkit",
        help="what the role, its profile and the security group are called (launchkit)",
    )
    parser.add_argument("--apply", action="store_true", help="make what is not there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show what is needed, or make it; return 1 if that cannot be."""
    from launchkit.cloud.providers import ProviderError  # noqa: PLC0415

    try:
        # boto3 is an extra, and takes its time.
        from launchkit.cloud.ec2_setup import Ec2Setup  # noqa: PLC0415

        setup = Ec2Setup(
            options.bucket, prefix=options.prefix, name=options.name, region=options.region
        )
        _setup(setup, options.name, make=options.apply)
    except ProviderError as error:
        sys.stdout.flush()
        print(f"launchkit: {error}", file=sys.stderr)
        return FAILED
    return 0


def _setup(setup: Ec2Setup, name: str, *, make: bool) -> None:
    # First, so that it can be read, and given to an administrator, without any credentials.
    print(f"policy {name} of role {name}:")
    print(json.dumps(setup.policy, indent=2))
    carry_out(
        setup,
        f"account {setup.account()}",
        lambda policy: f"the role {name} has the policy {policy}",
        setup.settings,
        make=make,
    )
