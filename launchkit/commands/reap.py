"""``launchkit reap``: the machines that have nothing to do any more, listed or ended."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launchkit.display.screen import printable
from launchkit.logging.table import format_table
from launchkit.sweep import Sweep

if TYPE_CHECKING:
    from launchkit.cloud.providers import Machine, Provider
    from launchkit.cloud.reaping import Judged

MODES = ("ec2", "gcp")
LEFT = 1
HEADERS = ["machine", "zone", "type", "age", "sweep", "state", "why"]


@dataclass(frozen=True)
class _Asked:
    """A provider, and the machines that it says there are."""

    provider: Provider
    machines: tuple[Machine, ...]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser(
        "reap", help="list the rented machines that have nothing to do; `--apply` ends them"
    )
    parser.add_argument(
        "sweep", nargs="*", metavar="SWEEP", help="ids or directories of sweeps; all without any"
    )
    parser.add_argument("--apply", action="store_true", help="end the machines that are left")
    parser.add_argument(
        "--all",
        action="store_true",
        help="also those that work without a launcher, or of which nothing can be told",
    )
    parser.add_argument("--mode", choices=MODES, help="ask this cloud only")
    parser.add_argument("--project", help="of Google Cloud; by default that of your settings there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List machines, or end them; return 1 if some are left, or it is not known whether."""
    # Each command imports what it needs: `launchkit status` is to start fast.
    from launchkit.cloud.providers import ProviderError  # noqa: PLC0415
    from launchkit.cloud.reaping import judge_all  # noqa: PLC0415

    wanted = {_id_of(each) for each in options.sweep}
    asked: list[_Asked] = []
    failed = False
    for mode in (options.mode,) if options.mode else MODES:
        try:
            provider = _provider(mode, options.project, chosen=options.mode is not None)
            if provider is not None:
                asked.append(_Asked(provider, tuple(provider.machines(None))))
        except ProviderError as error:
            _complain(f"{mode} cannot be asked: {error}")
            failed = True
    if not asked and not failed:
        raise ValueError("no cloud can be asked from here, so nothing is known of machines")
    found = judge_all(
        machine
        for each in asked
        for machine in each.machines
        if not wanted or machine.sweep in wanted
    )
    if found:
        print(_table(found))
    elif asked:
        print("no machines")
    left = [each for each in found if _is_left(each, everything=options.all)]
    if options.apply:
        failed |= not _end(asked, [each.machine for each in left])
        # What cannot be judged may be left.
        return LEFT if failed or _unknown(found, left) else 0
    if left:
        many = f"{len(left)} machine{'s' * (len(left) != 1)}"
        _complain(f"{many} left: `--apply` ends {'them' if len(left) > 1 else 'it'}")
    return LEFT if failed or left or _unknown(found, left) else 0


def _provider(mode: str, project: str | None, *, chosen: bool) -> Provider | None:
    """Return a cloud to ask; None if this machine cannot ask it, and need not.

    Raises
    ------
    ValueError
        If it cannot, and was chosen.
    """
    from launchkit.cloud import logins  # noqa: PLC0415

    lacking: Callable[[], list[str]] = getattr(logins, f"{mode}_lacking")
    reasons = lacking()
    if not reasons and mode == "gcp":
        project = project or logins.project()
        reasons = [] if project else ["a project (--project, or GOOGLE_CLOUD_PROJECT)"]
    if reasons:
        said = f"{mode} is not asked: it needs {'; '.join(reasons)}"
        if chosen:
            raise ValueError(said)
        _complain(said)
        return None
    if mode == "ec2":
        from launchkit.cloud.ec2 import Ec2  # noqa: PLC0415 - needs boto3, of an extra
        from launchkit.cloud.ec2_settings import Ec2Settings  # noqa: PLC0415

        return Ec2(Ec2Settings(s3_bucket="none"))  # it rents nothing
    from launchkit.cloud.gce import Gce  # noqa: PLC0415 - needs Google's libraries, of an extra
    from launchkit.cloud.gcp_settings import GcpSettings  # noqa: PLC0415

    settings = GcpSettings(gcp_project=project, gcp_bucket="none", zone="us-central1-a")
    return Gce(settings)  # it rents nothing; all zones are asked


def _id_of(name: str) -> str:
    return Sweep.open(name).id if Path(name).is_dir() else name


def _is_left(judged: Judged, *, everything: bool) -> bool:
    from launchkit.cloud.reaping import Fate  # noqa: PLC0415

    return judged.fate is Fate.LEFT or (everything and judged.alone)


def _unknown(found: Iterable[Judged], left: Sequence[Judged]) -> bool:
    from launchkit.cloud.reaping import Fate  # noqa: PLC0415

    return any(each.fate is Fate.UNKNOWN and each not in left for each in found)


def _end(asked: Iterable[_Asked], machines: Sequence[Machine]) -> bool:
    """End machines, zone by zone, so that one that does not answer keeps no other running."""
    from launchkit.cloud.providers import ProviderError  # noqa: PLC0415

    ended, good = 0, True
    for each in asked:
        ours = [machine for machine in machines if machine in each.machines]
        for zone in sorted({machine.zone for machine in ours}):
            there = [machine for machine in ours if machine.zone == zone]
            try:
                each.provider.end(there)
            except ProviderError as error:
                names = ", ".join(machine.id for machine in there)
                _complain(f"{names} cannot be ended: {error}")
                good = False
            else:
                ended += len(there)
    if machines:
        print(f"ended {ended} of {len(machines)} machine{'s' * (len(machines) != 1)}")
    return good


def _table(found: Iterable[Judged]) -> str:
    from launchkit.cloud.reaping import span  # noqa: PLC0415

    now = time.time()
    rows = [
        (
            each.machine.id,
            each.machine.zone,
            each.machine.kind,
            span(now - each.machine.launched),
            each.machine.sweep or "-",
            each.fate.value,
            each.why,
        )
        for each in sorted(found, key=lambda each: (each.machine.sweep, each.machine.launched))
    ]
    return format_table([[printable(cell) for cell in row] for row in rows], HEADERS)


def _complain(text: str) -> None:
    print(f"launchkit: {printable(text)}", file=sys.stderr)
