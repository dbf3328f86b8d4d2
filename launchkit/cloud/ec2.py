"""Machines of EC2: asked about, bought, looked after, ended."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from launchkit.cloud import (
    ec2_errors,
    ec2_images,
    ec2_prices,
    ec2_quotas,
    ec2_request,
    ec2_surroundings,
    ec2_types,
    startup,
)
from launchkit.cloud.aws import Aws, pages
from launchkit.cloud.aws_errors import FORBIDDEN, NO_CAPACITY, NO_QUOTA, Said
from launchkit.cloud.ec2_images import Image
from launchkit.cloud.ec2_instances import machine, region_of
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.patience import PATIENCE_S
from launchkit.cloud.providers import (
    Expired,
    Machine,
    NoCapacity,
    Offer,
    Order,
    Refused,
    Standing,
)

Buy = Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""Sends a request: takes a client of boto3's, doodad's settings, and the parameters."""

AT_ONCE = 500
"""How many machines one request can end."""
REGIONS_AT_ONCE = 8
SETTLING_S = 20.0
"""Seconds within which EC2 tells of a machine that it has sold."""
NOTHING = "#!/bin/sh\n"

_log = logging.getLogger(__name__)


class Ec2:
    """EC2, as a provider of machines: see `Provider`.

    Parameters
    ----------
    settings
        What is rented.
    buy
        Sends a request for machines; boto3 itself, if nothing is given.
    patience_s
        For how many seconds to ask again what has failed for a while.
    """

    def __init__(
        self, settings: Ec2Settings, buy: Buy | None = None, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._settings = settings
        self._buy = buy or _plainly
        self._aws = Aws(
            settings.region,
            explain=lambda code, text: ec2_errors.explain(settings, code, text),
            patience_s=patience_s,
        )
        self._found: Image | None = None

    def check(self, many: int) -> Offer:
        """Ask everything that can be asked without buying."""
        try:
            return self._check(many)
        except Expired:
            raise
        except Refused as error:
            raise ValueError(str(error)) from error

    def start(self, order: Order) -> list[Machine]:
        """Buy machines; fewer than asked for, if there are no more now."""
        # What was not to be had the first time, in the first zones or as many, may be now.
        known = self._of_token(order.token)
        if known:
            return known
        zones: Sequence[str | None] = order.zones or self._settings.zones or (None,)
        lacking = []
        for zone in zones:
            try:
                return self._start(order, zone)
            except Said as error:
                if error.code not in NO_CAPACITY:
                    raise
                lacking.append(f"{zone or self._aws.region}: {error.code}: {error.text}")
        raise NoCapacity(
            f"EC2 has no {self._settings.instance_type} to give now ({'; '.join(lacking)})"
        )

    def machines(self, sweep: str | None = None) -> list[Machine]:
        """Return the machines of a sweep; None for all of launchkit's that are not gone."""
        if sweep is not None:
            return self._described(self._aws.region, {f"tag:{ec2_request.SWEEP}": [sweep]})
        home = self._settings.region or ec2_types.HOME
        with ThreadPoolExecutor(REGIONS_AT_ONCE) as pool:
            found = pool.map(self._left, ec2_types.enabled_regions(self._aws, home))
            return [each for some in found for each in some]

    def end(self, machines: Sequence[Machine]) -> None:
        """End machines at once; those that are gone are no error."""
        regions: dict[str, list[str]] = {}
        for each in machines:
            regions.setdefault(region_of(each.zone) or self._aws.region, []).append(each.id)
        for region, ids in regions.items():
            for start in range(0, len(ids), AT_ONCE):
                self._end(region, ids[start : start + AT_ONCE])

    def last_words(self, machine: Machine) -> str:
        """Return the last line that a machine has printed to its console; empty if unknown."""
        # Machines of old types have no newest output, but only what they said when they started.
        for newest in (True, False):
            try:
                said = self._console(machine, newest=newest)
            except Said:
                continue
            lines = [_printable(line) for line in said.splitlines()]
            return next((line for line in reversed(lines) if line), "")
        return ""

    # Checking

    def _check(self, many: int) -> Offer:
        settings, aws = self._settings, self._aws
        aws.ask("sts", lambda sts: sts.get_caller_identity())
        ec2_types.check_region(aws)
        kind = ec2_types.kind_of(aws, settings)
        ec2_types.check_zones(aws, settings)
        image = self._image(kind.architectures)
        ec2_surroundings.check_surroundings(aws, settings)
        most = ec2_quotas.most(aws, settings, kind)
        ec2_prices.check_spot_price(aws, settings)
        self._try(image, many)
        price, source = ec2_prices.per_hour(aws, settings)
        bought = (
            "on demand" if settings.spot_price is None else f"spot at {settings.spot_price:g} USD"
        )
        where = ", ".join(settings.zones) or aws.region
        disk = f"{ec2_request.disk_gb(settings, image)} GB of disk"
        lines = (
            f"{kind.words}, {disk}, {bought}, in {where}",
            f"image {image.name or image.id} ({image.id})",
        )
        return Offer(price, source, image.id, lines, most)

    def _try(self, image: Image, many: int) -> None:
        """Ask EC2 whether it would take our request."""
        zone = next(iter(self._settings.zones), None)
        asked = ec2_request.fields(self._settings, image, many=many, zone=zone, script=NOTHING)
        try:
            self._send(image, {**asked, "DryRun": True})
        except Said as error:
            # There may be machines when they are bought; that is waited for then.
            if error.code not in ("DryRunOperation", *NO_CAPACITY):
                raise

    # Buying

    def _start(self, order: Order, zone: str | None) -> list[Machine]:
        """Buy machines in a zone: as many of them as the account may still have."""
        many = order.many
        while True:
            try:
                return self._request(order, zone, many)
            except Said as error:
                # EC2 gives fewer where there are no more, and none where we may have no more.
                if error.code not in NO_QUOTA:
                    raise
                if many == 1:
                    raise NoCapacity(str(error)) from error
                many //= 2

    def _request(self, order: Order, zone: str | None, many: int) -> list[Machine]:
        image = self._image()
        script = startup.ec2(order.boot)
        asked = ec2_request.fields(self._settings, image, many=many, zone=zone, script=script)
        try:
            answer = self._send(image, ec2_request.named(asked, order, zone))
        except Said as error:
            if error.code != "IdempotentParameterMismatch":
                raise
            # It was bought before, when Amazon's current image was another one, say.
            return self._sold(order.token, error)
        tags = ec2_request.tags_of(order)
        return [machine(each, tags) for each in answer["Instances"]]

    def _send(self, image: Image, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        settings = ec2_request.doodads_settings(self._settings, image, self._aws.region)
        return self._aws.ask("ec2", lambda ec2: self._buy(ec2, settings, asked))

    def _sold(self, token: str, error: Exception) -> list[Machine]:
        """Return the machines that a request was answered with, which EC2 may tell only soon."""
        until = time.monotonic() + SETTLING_S
        while True:
            known = self._of_token(token)
            if known:
                return known
            if time.monotonic() > until:
                raise error
            time.sleep(1)

    def _image(self, architectures: Sequence[str] | None = None) -> Image:
        if self._found is None:
            if architectures is None:
                architectures = ec2_types.kind_of(self._aws, self._settings).architectures
            self._found = ec2_images.find(self._aws, self._settings, architectures)
        return self._found

    # Looking

    def _of_token(self, token: str) -> list[Machine]:
        return self._described(self._aws.region, {f"tag:{ec2_request.TOKEN}": [token]})

    def _left(self, region: str) -> list[Machine]:
        """Return the machines of launchkit's in a region that are not gone."""
        try:
            found = self._described(region, {})
        except Said as error:
            if error.code not in FORBIDDEN:
                raise
            _log.warning("machines in %s cannot be looked for: %s", region, error)
            return []
        return [each for each in found if each.standing is not Standing.GONE]

    def _described(self, region: str, wanted: Mapping[str, Sequence[str]]) -> list[Machine]:
        tags = {f"tag:{ec2_request.OURS}": ["1"], **wanted}
        filters = [{"Name": name, "Values": list(values)} for name, values in tags.items()]
        reservations = self._aws.ask(
            "ec2",
            lambda ec2: pages(ec2, "describe_instances", "Reservations", Filters=filters),
            region=region,
        )
        return [machine(each) for some in reservations for each in some["Instances"]]

    # Ending

    def _end(self, region: str, ids: Iterable[str]) -> None:
        left = set(ids)
        while left:
            try:
                self._terminate(region, sorted(left))
            except Said as error:
                # One that is not known any more keeps all others from being ended.
                unknown = left.intersection(re.findall(r"i-[0-9a-f]+", error.text))
                if not (error.code.startswith("InvalidInstanceID") and unknown):
                    raise
                left -= unknown
            else:
                return

    def _terminate(self, region: str, ids: Sequence[str]) -> None:
        self._aws.ask("ec2", lambda ec2: ec2.terminate_instances(InstanceIds=ids), region=region)

    def _console(self, machine: Machine, *, newest: bool) -> str:
        more = {"Latest": True} if newest else {}
        answer = self._aws.ask(
            "ec2",
            lambda ec2: ec2.get_console_output(InstanceId=machine.id, **more),
            region=region_of(machine.zone) or None,
        )
        return str(answer.get("Output", ""))


def _plainly(
    client: Any, settings: Mapping[str, Any], asked: Mapping[str, Any]
) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = client.run_instances(**asked)
    return answer


def _printable(line: str) -> str:
    """Return a line of a console without what steers a terminal."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)
    return "".join(each for each in plain if each.isprintable()).strip()
