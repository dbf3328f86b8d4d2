"""What a machine's cloud says to it: that it is taken back, and who it is."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import json
import os
import urllib.error
import urllib.request

ANSWER_S = 2.0
TOKEN_S = 21600

# A proxy is for the world outside.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Amazon:
    """The metadata service of EC2, by its second version."""

    def __init__(self) -> None:
        where = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
        self._service = where.rstrip("/") + "/latest/"
        self._token = ""

    def notice(self) -> str:
        """Say that the machine is taken back, if it is; empty if not."""
        try:
            return "the machine is taken back: " + self._get("meta-data/spot/instance-action")
        except urllib.error.HTTPError as error:
            if error.code == 401:
                self._token = ""
        except (OSError, ValueError):
            pass
        return ""

    def _get(self, path: str) -> str:
        if not self._token:
            lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
            self._token = _ask(self._service + "api/token", lifetime, "PUT")
        return _ask(self._service + path, {"X-aws-ec2-metadata-token": self._token})


class Google:
    """The metadata service of Compute Engine."""

    def notice(self) -> str:
        """Say that the machine is taken back, if it is; empty if not."""
        try:
            return "the machine is taken back" if _google("preempted").strip() == "TRUE" else ""
        except (OSError, ValueError):
            return ""


def token() -> str:
    """Return what a machine of Google's proves with who it is; empty if there is no such thing."""
    try:
        return str(json.loads(_google("service-accounts/default/token"))["access_token"])
    except (OSError, ValueError, KeyError):
        return ""


def _google(path: str) -> str:
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    address = f"http://{host}/computeMetadata/v1/instance/{path}"
    return _ask(address, {"Metadata-Flavor": "Google"})


def _ask(address: str, headers: "dict[str, str]", method: str = "GET") -> str:
    asked = urllib.request.Request(address, headers=headers, method=method)  # noqa: S310 - http
    with _OPENER.open(asked, timeout=ANSWER_S) as answer:
        text: str = answer.read().decode()
    return text
