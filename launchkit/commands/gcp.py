"""``launchkit gcp setup``: what sweeps on Google Cloud need, shown or made."""

from __future__ import annotations

import argparse
import json
import sys

FAILED = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("gcp", help="what sweeps on Google Cloud need; `setup` makes it")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    setup = actions.add_parser(
        "setup", help="show the least that is needed: a bucket, and an account for the machines"
    )
    setup.add_argument("--apply", action="store_true", help="make what is not there")
    setup.add_argument("--project", required=True, help="the project")
    setup.add_argument("--bucket", required=True, help="the name of the bucket")
    setup.add_argument(
        "--prefix", default="launchkit", help="below which sweeps are in it (launchkit)"
    )
    setup.add_argument(
        "--name", default="launchkit", help="what the service account is called (launchkit)"
    )
    setup.add_argument(
        "--location", default="US", help="where the bucket is made: a region, or US, EU, ASIA (US)"
    )
    setup.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show or make what is needed, and return 0 if it can be had."""
    from launchkit.cloud import setup_steps  # noqa: PLC0415 - `launchkit status` is to start fast
    from launchkit.cloud.gcp_policies import Names  # noqa: PLC0415
    from launchkit.cloud.providers import ProviderError  # noqa: PLC0415

    names = Names(options.project, options.bucket, options.prefix, options.name, options.location)
    try:
        from launchkit.cloud.gcp_setup import GcpSetup  # noqa: PLC0415 - needs Google's libraries

        setup = GcpSetup(names)
        do = setup_steps.apply if options.apply else setup_steps.show
        for line in do(setup.steps()):
            print(line, flush=True)
        more = setup.more_rights()
    except ProviderError as error:
        print(f"launchkit: {error}", file=sys.stderr)
        return FAILED
    if more:
        print(f"{names.account} may do more than is needed, by {', '.join(more)}")
    if not options.apply:
        _show_by_hand(names)
    print(f"hydra.launcher.gcp_project={names.project} hydra.launcher.gcp_bucket={names.bucket}")
    if names.prefix != "launchkit":
        print(f"hydra.launcher.gcp_log_path={names.prefix}")
    if names.name != "launchkit":
        print(f"hydra.launcher.service_account={names.account}")
    return 0


def _show_by_hand(names: object) -> None:
    """Print the commands that make the same."""
    from launchkit.cloud.gcp_policies import Names  # noqa: PLC0415

    assert isinstance(names, Names)
    print("\n`--apply` makes what is not there; so do these commands:")
    for line in names.commands():
        print(f"  {line}")
    for file, condition in names.conditions().items():
        print(f"where {file} is\n{json.dumps(condition, indent=2)}")
    print()
