"""The simulated AWS, for the benchmarks: what there is, and what it was asked."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _sweeps import ROOT

sys.path.append(str(ROOT / "tests" / "testbed"))

import testbed

from launchkit.modes.ec2 import Ec2Mode

BUCKET = "launchkit-bench"
KEY_PAIR = "launchkit-bench"
PROGRAMS = testbed.STATE / "clouds" / "venv-aws" / "bin"
"""Where the testbed has a Python with moto, and the program ``aws``."""
QUOTAS = {"L-1216C47A": 100_000.0}
"""Virtual CPUs: a thousand machines can run at a time."""


def need_ec2() -> None:
    """Stop with what to do where the simulated AWS or doodad is missing; or else let it be AWS."""
    os.environ.update(testbed.aws_environment())
    lacking = [*filter(None, [testbed.available("aws")]), *Ec2Mode.lacking()]
    if lacking:
        raise SystemExit(f"EC2 cannot be simulated here: {'; '.join(lacking)}")


class Aws:
    """A simulated AWS.

    Parameters
    ----------
    endpoint
        Where it answers.
    """

    def __init__(self, endpoint: str = testbed.AWS_ENDPOINT) -> None:
        self.environment = {"AWS_ENDPOINT_URL": endpoint}
        self._endpoint = endpoint
        self._mark = 0

    def client(self, service: str) -> Any:
        """Return a client of boto3's."""
        import boto3

        return boto3.client(service, endpoint_url=self._endpoint)

    def begin(self, *, anew: bool = False) -> None:
        """See that there is a bucket, and count requests from now on.

        Parameters
        ----------
        anew
            Whether all there is goes, for everybody, and machines are not to run.
        """
        if anew:
            self._control("POST", "reset")
            self._control("POST", "next", boot=False)
            self._control("POST", "quotas", **QUOTAS)
            self.client("ec2").create_key_pair(KeyName=KEY_PAIR)
        self.client("s3").create_bucket(Bucket=BUCKET)
        self._mark = self._control("GET", "requests")["mark"]

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """Return what was asked since the beginning, but not by machines."""
        told = self._control("GET", f"requests?since={self._mark}&path={path}&machine=")
        return list(told["requests"])

    def uploaded(self, path: str) -> int:
        """Return how many bytes have been brought there since the beginning."""
        sent = [each for each in self.requests(path) if each["service"] == "s3"]
        return sum(each["bytes_in"] for each in sent)

    def image(self) -> str:
        """Return the id of some machine image."""
        images = self.client("ec2").describe_images(Owners=["amazon"])["Images"]
        return str(images[0]["ImageId"])

    def user_data(self, machine: str) -> bytes:
        """Return what a machine starts with."""
        asked = {"InstanceId": machine, "Attribute": "userData"}
        told = self.client("ec2").describe_instance_attribute(**asked)
        return base64.b64decode(told["UserData"]["Value"])

    def remove(self, prefix: str) -> None:
        """Remove what is in the bucket below a prefix."""
        s3 = self.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for each in page.get("Contents", ()):
                s3.delete_object(Bucket=BUCKET, Key=each["Key"])

    def _control(self, method: str, path: str, **body: Any) -> Any:
        url = f"{self._endpoint}/_testbed/{path}"
        request = urllib.request.Request(url, method=method, data=json.dumps(body).encode())
        # A proxy of the environment is not for addresses of this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            return json.load(response)


@contextlib.contextmanager
def own_aws(directory: Path) -> Iterator[Aws]:
    """Run a simulated AWS that nobody else uses, whose machines do nothing."""
    program = Path(__file__).with_name("_ec2_server.py")
    with subprocess.Popen(
        [PROGRAMS / "python", program, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield Aws(f"http://127.0.0.1:{int(server.stdout.readline())}")
        finally:
            server.stdin.close()
