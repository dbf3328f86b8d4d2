"""Machines of Google Compute Engine."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from launchkit.cloud import gce_check, gce_images, gce_look, gce_names, startup
from launchkit.cloud.boot import Boot
from launchkit.cloud.gce_bodies import Image, Request, body
from launchkit.cloud.gce_buying import AT_ONCE, Buying
from launchkit.cloud.gce_look import Look
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_errors import NotThere
from launchkit.cloud.gcp_settings import GcpSettings
from launchkit.cloud.patience import PATIENCE_S
from launchkit.cloud.providers import Machine, Offer, Order, Refused, Standing

_log = logging.getLogger(__name__)

Buy = Callable[[Any, Mapping[str, Any]], Callable[[Mapping[str, Any]], Any]]
"""Takes a client of the compute API and doodad's settings, and returns what makes a request."""

CONSOLE_BYTES = 16_384
_OF_THE_SCRIPT = "startup-script: "


class Gce:
    """Machines of Google Compute Engine; see `launchkit.cloud.providers.Provider`.

    Parameters
    ----------
    settings
        What is rented.
    buy
        Makes the requests for machines; Google's client itself, if nothing is given.
    patience_s
        For how many seconds to ask again what has failed for a while.
    """

    def __init__(
        self, settings: GcpSettings, buy: Buy | None = None, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._settings = settings
        self._project = settings.gcp_project or ""
        self._buy = buy or _plainly
        self._google = Google(patience_s)
        self._look = Look(self._google, self._project, settings.zones)
        self._image: Image | None = None
        self._gone: dict[str, dict[str, Machine]] = {}
        self._seen: defaultdict[str, set[str]] = defaultdict(set)

    def check(self, many: int) -> Offer:
        """Ask everything that can be asked without buying; see `Provider.check`."""
        offer, self._image = gce_check.check(self._google, self._settings, many)
        return offer

    def start(self, order: Order) -> list[Machine]:
        """Buy machines; see `Provider.start`."""
        if self._image is None:
            self._image = gce_images.find(self._google, self._settings)
        image = self._image
        insert = self._buy(self._google.api(), doodads_settings(self._settings, image))

        def send(request: Request) -> Any:
            asked = {
                "zone": request.zone,
                "body": body(self._settings, request, image, order.boot.lifetime_min),
                "requestId": request.id,
            }
            return self._google.ask(insert(asked), f"machine {request.name} in {request.zone}")

        buying = Buying(self._look, order, send, self._request)
        found = buying.run(tuple(order.zones) or self._settings.zones)
        self._seen[order.sweep].update(machine.id for machine in found)
        return found

    def machines(self, sweep: str | None = None) -> list[Machine]:
        """Return the machines of a sweep, or all of ours; see `Provider.machines`."""
        present = self._look.present(sweep)
        if sweep is None:
            return present
        there = {machine.id: machine for machine in present}
        self._clear_away([each for each in present if each.standing is Standing.GONE])
        gone = self._gone.get(sweep, {})
        ending = {m.id for m in present if m.standing in (Standing.ENDING, Standing.GONE)}
        # What has become of machines is asked only where there is something to ask about.
        if sweep not in self._gone or ending or self._seen[sweep] - there.keys() - gone.keys():
            histories = self._look.histories(gce_names.stem(sweep))
            for name in ending & histories.keys():
                there[name] = gce_look.with_end(there[name], histories[name])
            gone |= {
                name: gce_look.gone(name, history, sweep)
                for name, history in histories.items()
                if history.bought is not None and not history.pending
            }
        self._seen[sweep].update(there, gone)
        self._gone[sweep] = {name: each for name, each in gone.items() if name not in there}
        return [*there.values(), *self._gone[sweep].values()]

    def end(self, machines: Sequence[Machine]) -> None:
        """End machines at once; see `Provider.end`."""
        _each(self._end, machines)

    def last_words(self, machine: Machine) -> str:
        """Return the last line on a machine's console; see `Provider.last_words`."""
        call = (
            self._google.api()
            .instances()
            .getSerialPortOutput(
                project=self._project, zone=machine.zone, instance=machine.id, start=-CONSOLE_BYTES
            )
        )
        try:
            said = self._google.ask(call, f"the console of machine {machine.id}")
        except Refused:
            return ""
        return _last_line(said.get("contents", ""))

    def _clear_away(self, stopped: Sequence[Machine]) -> None:
        """Delete machines that do nothing any more, and whose disks cost something."""
        try:
            self.end(stopped)
        except Refused as error:
            _log.warning(
                "what is stopped cannot be deleted, and its disk costs something: %s", error
            )

    def _end(self, machine: Machine) -> None:
        call = (
            self._google.api()
            .instances()
            .delete(project=self._project, zone=machine.zone, instance=machine.id)
        )
        try:
            self._google.ask(call, f"machine {machine.id} in {machine.zone}")
        except NotThere:
            _log.debug("machine %s is gone", machine.id)

    def _request(self, order: Order, pack: int, zone: str, failed: int) -> Request:
        """Return the request for the machine of a pack."""
        name = gce_names.name(order.sweep, order.token, pack)
        return Request(
            name=name,
            zone=zone,
            id=gce_names.request_id(self._project, zone, name, failed),
            metadata=metadata(order.boot, pack),
            labels={
                gce_names.LABEL: "1",
                gce_names.SWEEP: gce_names.label(order.sweep),
                gce_names.TOKEN: gce_names.label(order.token),
                gce_names.PACK: str(pack),
            },
        )


def doodads_settings(settings: GcpSettings, image: Image) -> dict[str, Any]:
    """Return the settings of doodad's mode for Google Cloud, under its names."""
    return {
        "gcp_project": settings.gcp_project,
        "gcp_bucket": settings.gcp_bucket,
        "gcp_log_path": settings.gcp_log_path,
        "gcp_image": image.name,
        "gcp_image_project": image.project,
        "disk_size": settings.disk_size,
        "preemptible": settings.preemptible,
        "zone": settings.zones[0],
        "instance_type": settings.instance_type,
        "num_gpu": settings.num_gpu,
        "gpu_model": settings.gpu_model,
        "data_sync_interval": settings.sync_interval,
        "use_gpu": settings.use_gpu,
    }


def _plainly(client: Any, settings: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    project = settings["gcp_project"]
    return lambda asked: client.instances().insert(project=project, **asked)


def metadata(boot: Boot, pack: int) -> dict[str, str]:
    """Return what a machine is told: texts all, and nothing secret.

    Parameters
    ----------
    boot
        What all machines of a request are told.
    pack
        The pack that this one runs.
    """
    found = {
        "startup-script": startup.gcp(boot),
        "shutdown-script": startup.gcp_stop(),
        gce_names.PACK: str(pack),
        gce_names.BASE: f"{boot.store}/{boot.base}",
        "block-project-ssh-keys": "TRUE",
        "enable-oslogin": "TRUE",
    }
    if boot.uses_gpu:
        # Google's images for deep learning install the driver when they are told to.
        found["install-nvidia-driver"] = "True"
    return found


def _each(do: Callable[[Machine], None], machines: Iterable[Machine]) -> None:
    """Do something to machines, several at a time; one that fails keeps none from it."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        done = [threads.submit(do, machine) for machine in machines]
    for each in done:
        each.result()


def _last_line(text: str) -> str:
    """Return the last line of a console, of the start-up script if there is one of it."""
    clean = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\xa0-\uffff\n]", "", text)
    lines = [line.strip() for line in clean.split("\n") if line.strip()]
    ours = [line for line in lines if _OF_THE_SCRIPT in line]
    return ours[-1].partition(_OF_THE_SCRIPT)[2] if ours else lines[-1] if lines else ""
