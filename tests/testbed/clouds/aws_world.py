"""The simulated AWS: moto, the machines behind its instances, and what moto lacks of EC2."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import threading
import time
import traceback
import urllib.parse
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from aws_capacity import Capacity, Wish
from aws_extras import Extras
from aws_metadata import InstanceMetadata, identity_document
from aws_moto import ACCOUNT, Moto
from aws_requests import Refusal, Request, Response
from machine_runner import MachineOptions, SimulatedMachine
from moto.ec2.models.instances import StateReason

PROFILE = "launchkit"
"""The role, and the instance profile, that are there from the start."""

_STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopped": 80}
_MOST_USER_DATA = 16384
_NOTICE_S = 120.0
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


@dataclasses.dataclass
class Next:
    """What machines are like that are started from now on.

    Parameters
    ----------
    script
        A text that their user-data must have; all machines are meant if it is empty.
    count
        How many machines; None for all.
    hide, install, programs, minute_s, slow_start_s, grace_s
        As `MachineOptions` has them.
    env
        More of their environment.
    credentials_s
        For how many seconds the credentials of their role are good.
    boot
        Whether they run anything at all.
    """

    script: str = ""
    count: int | None = None
    hide: list[str] = dataclasses.field(default_factory=list)
    install: dict[str, bool] | list[str] = dataclasses.field(default_factory=list)
    programs: dict[str, str] = dataclasses.field(default_factory=dict)
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    slow_start_s: float = 0.0
    minute_s: float = 60.0
    grace_s: float = 5.0
    credentials_s: float = 21600.0
    boot: bool = True


@dataclasses.dataclass
class Rented:
    """A machine, and the instance that it is in moto."""

    machine: SimulatedMachine
    region: str
    instance: Any
    likeness: Next
    wanted: str = ""
    """How the instance is to be in the end, if that has been decided."""
    reason: tuple[str, str] | None = None
    notice: float | None = None
    settled: bool = False
    credentials: dict[str, Any] = dataclasses.field(default_factory=dict)


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

    def __init__(self, directory: Path, endpoint: str, programs: dict[str, Path | str]) -> None:
        self.directory = directory
        self.capacity = Capacity()
        self._endpoint = endpoint
        self._programs = programs
        self._moto = Moto()
        self.extras = Extras(self._moto)
        self._rented: dict[str, Rented] = {}
        self._next: list[Next] = []
        self._answers: dict[tuple[str, str, str], tuple[str, Response]] = {}
        self._expiry: dict[str, float] = {}
        self._lock = threading.RLock()
        self._seed()

    # What clients ask.

    def answer(self, request: Request) -> Response:
        """Answer a request as AWS does."""
        try:
            if self._expiry.get(request.access_key, float("inf")) < time.time():
                raise Refusal("ExpiredToken", "The provided token has expired.")
            if (extra := self.extras.answer(request)) is not None:
                return extra
            if request.service == "s3":
                return self._s3(request)
            if request.service != "ec2":
                return self._moto.answer(request)
            with self._lock:
                self._settle()
                return self._ec2(request)
        except Refusal as refusal:
            return refusal.answer(request)
        except Exception as error:  # whatever moto cannot do, the client has to hear of
            traceback.print_exc()
            return Refusal("InternalFailure", repr(error), 500).answer(request)

    def _s3(self, request: Request) -> Response:
        response = self._moto.answer(request)
        # Who may list below a prefix only is not told what is not there.
        hidden = request.action in ("GetObject", "HeadObject") and response.status == 404
        if hidden and request.access_key in self._expiry:
            raise Refusal("AccessDenied", "Access Denied", 403)
        return response

    def machine_at(self, address: str) -> str:
        """Return the id of the machine with an address; empty if there is none."""
        for id, rented in list(self._rented.items()):
            if rented.machine.address == address and not rented.settled:
                return id
        return ""

    def _ec2(self, request: Request) -> Response:
        if request.action == "RunInstances":
            return self._run_instances(request)
        if request.action == "GetConsoleOutput":
            return self._console_output(request)
        if request.action == "DescribeInstances":
            request = self._by_token(request)
        response = self._moto.answer(request)
        if request.action in ("TerminateInstances", "StopInstances") and response.status == 200:
            wanted = "terminated" if request.action == "TerminateInstances" else "stopped"
            for field, id in request.form.items():
                rented = self._rented.get(id) if field.startswith("InstanceId.") else None
                if rented is not None and not rented.wanted:
                    self._decide(rented, wanted)
                    rented.machine.end()
        return response

    def _by_token(self, request: Request) -> Request:
        """Ask for the ids that have a client token, as moto knows no such filter."""
        names = [field for field, value in request.form.items() if value == "client-token"]
        if not names:
            return request
        form = dict(request.form)
        for field in names:
            start = f"{field.removesuffix('.Name')}.Value."
            tokens = {form.pop(name) for name in list(form) if name.startswith(start)}
            ids = [id for id, each in self._rented.items() if each.instance.client_token in tokens]
            form[field] = "instance-id"
            # An id that nobody has stands for none.
            for number, id in enumerate(ids or ["i-0"], 1):
                form[f"{start}{number}"] = id
        return dataclasses.replace(request, body=urllib.parse.urlencode(form).encode())

    def _run_instances(self, request: Request) -> Response:
        form = dict(request.form)
        token = form.get("ClientToken", "")
        script = _user_data(form)
        if form.get("DryRun", "").lower() == "true":
            return self._moto.answer(request)
        key = (request.region, ACCOUNT, token)
        content = json.dumps({name: form[name] for name in sorted(form)})
        digest = hashlib.sha256(content.encode()).hexdigest()
        if token and key in self._answers:
            asked, response = self._answers[key]
            if asked != digest:
                raise Refusal(
                    "IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in"
                    " previous request(s).",
                )
            return response
        if key_pair := form.get("KeyName"):
            named = {"KeyName.1": key_pair}
            found = self._moto.ask("ec2", "DescribeKeyPairs", request.region, **named)
            if found.status != 200:
                return found
        many, zone = self._grant(request.region, form, script)
        form["MinCount"] = form["MaxCount"] = str(many)
        if "SubnetId" not in form and zone:
            form["Placement.AvailabilityZone"] = zone
        body = urllib.parse.urlencode(form).encode()
        response = self._moto.answer(dataclasses.replace(request, body=body))
        if response.status == 200:
            self._rent(request.region, form, script, response)
            if token:
                self._answers[key] = digest, response
        return response

    def _grant(self, region: str, form: dict[str, str], script: bytes) -> tuple[int, str]:
        least, most = int(form.get("MinCount", "1")), int(form.get("MaxCount", "1"))
        if not 1 <= least <= most:
            raise Refusal("InvalidParameterValue", f"MinCount {least} and MaxCount {most} clash")
        backend = self._moto.ec2(region)
        zone = form.get("Placement.AvailabilityZone", "")
        if subnet := form.get("SubnetId"):
            with contextlib.suppress(Exception):  # moto itself says what is wrong with it
                zone = backend.get_subnet(subnet).availability_zone
        market = form.get("InstanceMarketOptions.MarketType", "on-demand")
        price = form.get("InstanceMarketOptions.SpotOptions.MaxPrice", "")
        kind = form.get("InstanceType", "m1.small")
        if price and float(price) < (lowest := self.extras.spot_prices.get(kind, 0.0)):
            raise Refusal(
                "SpotMaxPriceTooLow",
                f"Your Spot request price of {price} is lower than the minimum required Spot"
                f" request fulfillment price of {lowest}.",
            )
        wish = Wish(kind, zone, market, price, least, most)
        zones = [each.name for each in backend.describe_availability_zones()]
        running = [
            (
                each.instance.instance_type,
                each.instance.availability_zone,
                each.instance.lifecycle or "on-demand",
                each.machine.script.decode(errors="replace"),
            )
            for each in self._rented.values()
            if not each.settled and each.region == region
        ]
        return self.capacity.grant(wish, script.decode(errors="replace"), zones, running)

    def _console_output(self, request: Request) -> Response:
        response = self._moto.answer(request)
        rented = self._rented.get(request.form.get("InstanceId", ""))
        if response.status != 200:
            return response
        text = b"" if rented is None else rented.machine.console.read_bytes()[-65536:]
        said = base64.b64encode(text)
        body = re.sub(rb"<output>.*?</output>", b"<output>" + said + b"</output>", response.body,
                      flags=re.DOTALL)  # fmt: skip
        return dataclasses.replace(response, headers=_without_length(response), body=body)

    # Machines.

    def _rent(self, region: str, form: dict[str, str], script: bytes, response: Response) -> None:
        backend = self._moto.ec2(region)
        ids = [
            element.text or ""
            for element in ElementTree.fromstring(response.body).iter()
            if element.tag.rpartition("}")[2] == "instanceId"
        ]
        profile = {
            name: form[f"IamInstanceProfile.{field}"]
            for name, field in (("iam_instance_profile_name", "Name"),
                                ("iam_instance_profile_arn", "Arn"))
            if f"IamInstanceProfile.{field}" in form
        }  # fmt: skip
        for number, id in enumerate(ids):
            instance = backend.get_instance(id)
            if number and profile:
                backend.associate_iam_instance_profile(instance_id=id, **profile)
            likeness = self._take_next(script)
            machine = self._make_machine(region, instance, script, likeness)
            self._rented[id] = Rented(machine, region, instance, likeness)
            if likeness.boot:
                _set_state(instance, "pending")
                machine.start()
            else:
                machine.state = "running"

    def _take_next(self, script: bytes) -> Next:
        text = script.decode(errors="replace")
        for each in self._next:
            if each.script in text and each.count != 0:
                if each.count is not None:
                    each.count -= 1
                return each
        return Next()

    def _make_machine(
        self, region: str, instance: Any, script: bytes, likeness: Next
    ) -> SimulatedMachine:
        environment = {"AWS_ENDPOINT_URL": self._endpoint, **likeness.env}
        options = MachineOptions(
            environment=environment,
            programs={**self._programs, **likeness.programs},
            hide=likeness.hide,
            install=[name for name in likeness.install],
            hostname=str(instance.private_dns_name).partition(".")[0],
            slow_start_s=likeness.slow_start_s,
            minute_s=likeness.minute_s,
            grace_s=likeness.grace_s,
        )
        metadata = InstanceMetadata(lambda: self._facts(instance.id))
        directory = self.directory / "machines"
        return SimulatedMachine(instance.id, script, metadata, directory, options, self._ended)

    def _ended(self, machine: SimulatedMachine, how: str) -> None:
        with self._lock:
            rented = self._rented.get(machine.id)
            if rented is None:
                return
            if not rented.wanted and how == "shutdown":
                behaviour = rented.instance.instance_initiated_shutdown_behavior
                text = "Client.InstanceInitiatedShutdown"
                wanted = "terminated" if behaviour == "terminate" else "stopped"
                self._decide(rented, wanted, text, f"{text}: Instance initiated shutdown")
            elif not rented.wanted:
                text = "Server.InternalError"
                self._decide(rented, "terminated", text, f"{text}: Internal error on launch")
            self._settle()

    def _decide(self, rented: Rented, wanted: str, code: str = "", message: str = "") -> None:
        """Say how an instance is to be when its machine is gone."""
        rented.wanted = wanted
        rented.reason = (code, message) if code else None
        backend = self._moto.ec2(rented.region)
        if rented.instance.state not in ("terminated", "stopped"):
            if wanted == "terminated":
                backend.terminate_instances([rented.instance.id])
            else:
                rented.instance.stop()
        if not rented.likeness.boot:
            rented.machine.state = "gone"

    def _settle(self) -> None:
        """Let moto's instances be as their machines are."""
        for rented in self._rented.values():
            if rented.settled:
                continue
            state, instance = rented.machine.state, rented.instance
            if rented.wanted and state == "gone":
                _set_state(instance, rented.wanted)
                rented.settled = True
            elif rented.wanted or state in ("ending", "gone"):
                _set_state(instance, "shutting-down")
            else:
                _set_state(instance, "pending" if state == "starting" else "running")
            if rented.wanted and rented.reason is not None:
                code, message = rented.reason
                instance.state_reason = StateReason(message, code)

    def _facts(self, id: str) -> dict[str, str]:
        """Return what the metadata service of an instance tells."""
        rented = self._rented[id]
        instance, region = rented.instance, rented.region
        facts = {
            "instance-id": id,
            "ami-id": instance.image_id,
            "ami-launch-index": str(instance.ami_launch_index),
            "hostname": instance.private_dns_name,
            "instance-action": "none",
            "instance-life-cycle": instance.lifecycle or "on-demand",
            "instance-type": instance.instance_type,
            "local-hostname": instance.private_dns_name,
            "local-ipv4": instance.private_ip or "",
            "placement/availability-zone": instance.availability_zone,
            "placement/region": region,
            "reservation-id": "r-0",
            "services/domain": "amazonaws.com",
            "services/partition": "aws",
        }
        if rented.notice is not None:
            moment = datetime.fromtimestamp(rented.notice, timezone.utc)
            text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            facts["spot/instance-action"] = json.dumps({"action": "terminate", "time": text})
            facts["spot/termination-time"] = text
        if instance.metadata_options.instance_metadata_tags == "enabled":
            for tag in instance.get_tags():
                facts[f"tags/instance/{tag['key']}"] = tag["value"]
        facts |= self._role_facts(rented)
        latest = {f"meta-data/{path}": value for path, value in facts.items()}
        latest["dynamic/instance-identity/document"] = identity_document(instance, region)
        latest["user-data"] = rented.machine.script.decode(errors="replace")
        return latest

    def _role_facts(self, rented: Rented) -> dict[str, str]:
        backend = self._moto.ec2(rented.region)
        link = backend.iam_instance_profile_associations.get(rented.instance.id)
        if link is None:
            return {}
        profile = link.iam_instance_profile
        told = {
            "Code": "Success",
            "LastUpdated": _time(time.time()),
            "InstanceProfileArn": profile.arn,
            "InstanceProfileId": profile.id,
        }
        facts = {"iam/info": json.dumps(told, indent=2)}
        if profile.roles:
            role = profile.roles[0]
            facts[f"iam/security-credentials/{role.name}"] = json.dumps(
                self._credentials(rented, role.arn), indent=2
            )
        return facts

    def _credentials(self, rented: Rented, role: str) -> dict[str, Any]:
        with self._lock:
            now, lifetime = time.time(), rented.likeness.credentials_s
            known = rented.credentials
            if not known or now > known["renewed"]:
                made = self._moto.sts().assume_role(
                    region_name=rented.region,
                    role_session_name=rented.instance.id,
                    role_arn=role,
                    policy=None,
                    duration=int(max(lifetime, 1)),
                    external_id=None,
                )
                self._expiry[made.access_key_id] = now + lifetime
                known["renewed"] = now + lifetime * 0.8
                known["told"] = {
                    "Code": "Success",
                    "LastUpdated": _time(now),
                    "Type": "AWS-HMAC",
                    "AccessKeyId": made.access_key_id,
                    "SecretAccessKey": made.secret_access_key,
                    "Token": made.session_token,
                    "Expiration": _time(now + lifetime),
                }
            told: dict[str, Any] = known["told"]
            return told

    # What tests ask.

    def next(self, **fields: Any) -> None:
        """Say what machines are like that are started from now on."""
        with self._lock:
            self._next.insert(0, Next(**fields))

    def forget_next(self) -> None:
        """Let machines be as usual."""
        with self._lock:
            self._next.clear()

    def machines(self) -> list[dict[str, Any]]:
        """Describe all machines."""
        return [self.machine(id) for id in list(self._rented)]

    def machine(self, id: str) -> dict[str, Any]:
        """Describe a machine."""
        rented = self._get(id)
        with self._lock:
            self._settle()
        return {
            **rented.machine.status(),
            "region": rented.region,
            "instance_state": rented.instance.state,
            "notice": rented.notice,
        }

    def interrupt(self, id: str, seconds: float = _NOTICE_S) -> None:
        """Take a spot machine back, after a notice."""
        rented = self._get(id)
        rented.notice = time.time() + seconds

        def take() -> None:
            with self._lock:
                if not rented.wanted:
                    code = "Server.SpotInstanceTermination"
                    text = f"{code}: Instance terminated due to a Spot interruption"
                    self._decide(rented, "terminated", code, text)
            rented.machine.kill()

        timer = threading.Timer(seconds, take)
        timer.daemon = True
        timer.start()

    def die(self, id: str) -> None:
        """Let a machine break down."""
        rented = self._get(id)
        with self._lock:
            if not rented.wanted:
                code = "Server.InternalError"
                text = f"{code}: An internal error caused the instance to terminate"
                self._decide(rented, "terminated", code, text)
        rented.machine.kill()

    def hang(self, id: str) -> None:
        """Cut a machine off."""
        self._get(id).machine.cut_network()

    def mend(self, id: str) -> None:
        """Connect a machine again."""
        self._get(id).machine.mend_network()

    def reset(self) -> None:
        """Begin anew: no machine, no bucket, nothing."""
        with self._lock:
            doomed = list(self._rented.values())
            self._rented.clear()
            self._next.clear()
            self._answers.clear()
            self._expiry.clear()
            self.capacity.clear()
            self.extras.reset()
            self._moto.reset()
            self._seed()
        _kill_all([rented.machine for rented in doomed])

    def close(self) -> None:
        """End all machines."""
        _kill_all([rented.machine for rented in self._rented.values()])

    def _get(self, id: str) -> Rented:
        try:
            return self._rented[id]
        except KeyError:
            raise LookupError(f"there is no machine {id}") from None

    def _seed(self) -> None:
        self._moto.ask("iam", "CreateRole", RoleName=PROFILE, Path="/",
                       AssumeRolePolicyDocument=json.dumps(_TRUST))  # fmt: skip
        self._moto.ask("iam", "CreateInstanceProfile", InstanceProfileName=PROFILE, Path="/")
        self._moto.ask(
            "iam", "AddRoleToInstanceProfile", InstanceProfileName=PROFILE, RoleName=PROFILE
        )


def _kill_all(machines: list[SimulatedMachine]) -> None:
    alive = [machine for machine in machines if machine.state not in ("gone",)]
    for machine in alive:
        machine.kill()
    limit = time.monotonic() + 15
    for machine in alive:
        if machine.directory.exists():
            machine.join(max(0.0, limit - time.monotonic()))


def _user_data(form: dict[str, str]) -> bytes:
    try:
        script = base64.b64decode(form.get("UserData", ""), validate=False)
    except ValueError:
        raise Refusal("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    if len(script) > _MOST_USER_DATA:
        raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")
    return script


def _without_length(response: Response) -> list[tuple[str, str]]:
    return [each for each in response.headers if each[0].lower() != "content-length"]


def _set_state(instance: Any, name: str) -> None:
    instance._state.name, instance._state.code = name, _STATES[name]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
