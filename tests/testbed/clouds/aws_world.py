"""The simulated AWS: moto, and what it lacks of EC2 and of S3."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import traceback
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from aws_capacity import Capacity, Wish
from aws_extras import Extras
from aws_machines import Machines
from aws_moto import Moto
from aws_requests import Refusal, Request, Response

PROFILE = "launchkit"
"""The role, and the instance profile, that are there from the start."""

_MOST_USER_DATA = 16384
_MOST_CONSOLE = 65536
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
_PROFILE_FIELDS = {
    "iam_instance_profile_name": "IamInstanceProfile.Name",
    "iam_instance_profile_arn": "IamInstanceProfile.Arn",
}


class World:
    """The simulated AWS.

    Parameters
    ----------
    directory
        Where its machines are kept.
    endpoint
        Where it is reached.
    programs
        What its machines have beside the programs of this machine.
    """

    def __init__(self, directory: Path, endpoint: str, programs: Mapping[str, Path | str]) -> None:
        self._moto = Moto()
        self.capacity = Capacity()
        self.extras = Extras(self._moto)
        environment = {"AWS_ENDPOINT_URL": endpoint}
        self.machines = Machines(directory, self._moto, environment, programs)
        self._bought: dict[tuple[str, str], tuple[str, Response]] = {}
        self._actions: dict[str, Callable[[Request], Response]] = {
            "RunInstances": self._run_instances,
            "DescribeInstances": self._describe_instances,
            "TerminateInstances": self._terminate_instances,
            "StopInstances": self._stop_instances,
            "GetConsoleOutput": self._console_output,
        }
        self._seed()

    def answer(self, request: Request) -> Response:
        """Answer a request as AWS does."""
        try:
            if self.machines.credentials.is_over(request.access_key):
                raise Refusal("ExpiredToken", "The provided token has expired.")
            if (extra := self.extras.answer(request)) is not None:
                return extra
            if request.service == "s3":
                return self._s3(request)
            if request.service != "ec2":
                return self._moto.answer(request)
            with self.machines.lock:
                self.machines.settle()
                return self._actions.get(request.action, self._moto.answer)(request)
        except Refusal as refusal:
            return refusal.answer(request)
        except Exception as error:  # whatever moto cannot do, the client has to hear of
            traceback.print_exc()
            return Refusal("InternalFailure", repr(error), 500).answer(request)

    def reset(self) -> None:
        """Begin anew: no machine, no bucket, nothing."""
        self.machines.reset()
        with self.machines.lock:
            self._bought.clear()
            self.capacity.clear()
            self.extras.reset()
            self._moto.reset()
            self._seed()

    def _seed(self) -> None:
        policy = json.dumps(_TRUST)
        profile = {"InstanceProfileName": PROFILE}
        ask = self._moto.ask
        ask("iam", "CreateRole", RoleName=PROFILE, AssumeRolePolicyDocument=policy, Path="/")
        ask("iam", "CreateInstanceProfile", **profile, Path="/")
        ask("iam", "AddRoleToInstanceProfile", **profile, RoleName=PROFILE)

    def _s3(self, request: Request) -> Response:
        response = self._moto.answer(request)
        # Who may list below a prefix only is not told what is not there.
        hidden = request.action in ("GetObject", "HeadObject") and response.status == 404
        if hidden and self.machines.credentials.is_known(request.access_key):
            raise Refusal("AccessDenied", "Access Denied", 403)
        return response

    # Buying.

    def _run_instances(self, request: Request) -> Response:
        form, token = dict(request.form), request.form.get("ClientToken", "")
        script = _user_data(form)
        if form.get("DryRun", "").lower() == "true":
            return self._moto.answer(request)
        if bought := self._bought_before(request, token):
            return bought
        if key_pair := form.get("KeyName"):
            named = {"KeyName.1": key_pair}
            found = self._moto.ask("ec2", "DescribeKeyPairs", request.region, **named)
            if found.status != 200:
                return found
        many, zone = self._grant(request.region, form, script.decode(errors="replace"))
        # Moto gives MinCount, whatever MaxCount is.
        form["MinCount"] = form["MaxCount"] = str(many)
        if "SubnetId" not in form:
            form["Placement.AvailabilityZone"] = zone
        response = self._moto.answer(_with_form(request, form))
        if response.status == 200:
            self._start(request.region, form, script, response)
            if token:
                self._bought[request.region, token] = _digest(request), response
        return response

    def _bought_before(self, request: Request, token: str) -> Response | None:
        if not token or (request.region, token) not in self._bought:
            return None
        digest, response = self._bought[request.region, token]
        if digest != _digest(request):
            raise Refusal(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in"
                " previous request(s).",
            )
        return response

    def _grant(self, region: str, form: dict[str, str], script: str) -> tuple[int, str]:
        least, most = int(form.get("MinCount", "1")), int(form.get("MaxCount", "1"))
        if not 1 <= least <= most:
            raise Refusal("InvalidParameterValue", f"MinCount {least} and MaxCount {most} clash")
        backend = self._moto.ec2(region)
        zone = form.get("Placement.AvailabilityZone", "")
        if subnet := form.get("SubnetId"):
            with contextlib.suppress(Exception):  # moto itself says what is wrong with it
                zone = backend.get_subnet(subnet).availability_zone
        kind = form.get("InstanceType", "m1.small")
        market = form.get("InstanceMarketOptions.MarketType", "on-demand")
        price = form.get("InstanceMarketOptions.SpotOptions.MaxPrice", "")
        if price and float(price) < (lowest := self.extras.spot_prices.get(kind, 0.0)):
            raise Refusal(
                "SpotMaxPriceTooLow",
                f"Your Spot request price of {price} is lower than the minimum required Spot"
                f" request fulfillment price of {lowest}.",
            )
        zones = [each.name for each in backend.describe_availability_zones()]
        wish = Wish(kind, zone, market, price, least, most)
        return self.capacity.grant(wish, script, zones, self._running(region))

    def _running(self, region: str) -> list[tuple[str, str, str, str]]:
        return [
            (
                each.instance.instance_type,
                each.instance.availability_zone,
                each.market,
                each.machine.script.decode(errors="replace"),
            )
            for each in self.machines.all()
            if not each.settled and each.region == region
        ]

    def _start(self, region: str, form: dict[str, str], script: bytes, response: Response) -> None:
        backend = self._moto.ec2(region)
        profile = {name: form[field] for name, field in _PROFILE_FIELDS.items() if field in form}
        ids = [
            element.text or ""
            for element in ElementTree.fromstring(response.body).iter()
            if element.tag.rpartition("}")[2] == "instanceId"
        ]
        for number, id in enumerate(ids):
            # Moto gives it to the first one only.
            if number and profile:
                backend.associate_iam_instance_profile(instance_id=id, **profile)
            self.machines.rent(backend.get_instance(id), script)

    # The rest of EC2.

    def _describe_instances(self, request: Request) -> Response:
        form = dict(request.form)
        for field in [name for name, value in form.items() if value == "client-token"]:
            # Moto knows no such filter: the ids of those instances are asked for.
            start = f"{field.removesuffix('.Name')}.Value."
            tokens = {form.pop(name) for name in list(form) if name.startswith(start)}
            found = [each.instance for each in self.machines.all()]
            ids = [each.id for each in found if each.client_token in tokens]
            form[field] = "instance-id"
            # An id that nobody has stands for none.
            form |= {f"{start}{number}": id for number, id in enumerate(ids or ["i-0"], 1)}
        return self._moto.answer(_with_form(request, form))

    def _terminate_instances(self, request: Request) -> Response:
        return self._end_machines(request, "terminated")

    def _stop_instances(self, request: Request) -> Response:
        return self._end_machines(request, "stopped")

    def _end_machines(self, request: Request, wanted: str) -> Response:
        response = self._moto.answer(request)
        if response.status == 200:
            for field, id in request.form.items():
                if field.startswith("InstanceId."):
                    self.machines.end(id, wanted)
        return response

    def _console_output(self, request: Request) -> Response:
        response = self._moto.answer(request)
        if response.status != 200:
            return response
        text = b""
        with contextlib.suppress(LookupError, FileNotFoundError):
            console = self.machines.get(request.form["InstanceId"]).machine.console
            text = console.read_bytes()[-_MOST_CONSOLE:]
        told = b"<output>" + base64.b64encode(text) + b"</output>"
        body = re.sub(rb"<output>.*?</output>", told, response.body, flags=re.DOTALL)
        return Response(200, [("Content-Type", "text/xml")], body)


def _user_data(form: dict[str, str]) -> bytes:
    try:
        script = base64.b64decode(form.get("UserData", ""), validate=True)
    except ValueError:
        raise Refusal("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    if len(script) > _MOST_USER_DATA:
        raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")
    return script


def _digest(request: Request) -> str:
    text = json.dumps(request.form, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_form(request: Request, form: dict[str, Any]) -> Request:
    return dataclasses.replace(request, body=urllib.parse.urlencode(form).encode())
