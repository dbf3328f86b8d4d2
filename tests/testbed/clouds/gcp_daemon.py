"""The simulated Google Cloud, as a daemon. Usage: gcp_daemon.py DIRECTORY PORT

It answers on this machine and on the bridge that its machines are connected to; there also under
the addresses of the real one, which its machines know by their hosts file and trust by a
certificate that is made here.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import gcp_keys
import machine_network
import machine_runner
from gcp_accounts import Accounts
from gcp_compute import Compute
from gcp_control import Control
from gcp_iam import Iam
from gcp_lives import Lives
from gcp_multipart import Batches
from gcp_objects import Objects
from gcp_rights import Rights
from gcp_storage import Storage
from gcp_web import Server, Site
from gcp_world import World

NAMES = (
    "compute.googleapis.com",
    "storage.googleapis.com",
    "www.googleapis.com",
    "oauth2.googleapis.com",
    "iam.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "serviceusage.googleapis.com",
)


def make_site(directory: Path | None) -> Site:
    """Make the cloud; its machines run for real if there is a directory for them."""
    objects, world, accounts = Objects(), World(), Accounts()
    options = None if directory is None else machine_options(directory)
    lives = Lives(world, accounts, directory and directory / "machines", options)
    site = Site([], accounts.gate)
    site.machine_at = lives.at
    site.rooms += [
        Control(site, objects, world, accounts, lives).room,
        Storage(objects, Rights(accounts)).room,
        Compute(world, accounts, lives).room,
        accounts.room,
        *Iam(accounts).rooms,
        Batches(site).room,
    ]
    return site


def machine_options(directory: Path) -> dict[str, object]:
    """Return what all machines have in common.

    They reach the cloud where the real one would be; only whom to trust has to be told.
    """
    authority = str(directory / gcp_keys.AUTHORITY)
    programs = Path(sys.prefix) / "bin"
    return {
        "environment": {
            "BOTO_CONFIG": str(directory / "boto"),
            "CURL_CA_BUNDLE": authority,
            "REQUESTS_CA_BUNDLE": authority,
            "SSL_CERT_FILE": authority,
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": authority,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
            "CLOUDSDK_CONFIG": "/run/gcloud",
        },
        "programs": {"gsutil": programs / "gsutil"},
        "hosts": dict.fromkeys(NAMES, machine_network.HOME),
    }


def main(directory: Path, port: int) -> None:
    """Serve until told to end."""
    machine_network.make_bridge()
    machine_runner.clean(directory / "machines")
    certificate = gcp_keys.make(directory, port, [*NAMES, "localhost"], [machine_network.HOME])
    site = make_site(directory)
    home = machine_network.HOME
    server = Server(site, ("127.0.0.1", port, None), (home, port, None), (home, 443, certificate))
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server.start()
    ended.wait()
    server.stop()
    machine_runner.clean(directory / "machines")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
