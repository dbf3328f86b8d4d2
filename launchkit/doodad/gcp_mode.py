"""doodad's mode for Google Cloud, made to ask for machines that end, and whose names are known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from launchkit.doodad import engine
from launchkit.doodad.engine import Doodad

Insert = Callable[[Mapping[str, Any]], Any]


def buy(client: Any, settings: Mapping[str, Any]) -> Insert:
    """Return what makes the request for a machine.

    doodad's own way takes an image of 2018, uploads an archive for each job, never says which
    machines there are, and leaves them running where the start-up script does not find the home
    directory that it looks for.

    Parameters
    ----------
    client
        Google's client of the compute API.
    settings
        The settings of doodad's mode, under its names.

    Returns
    -------
    callable
        Takes the parameters of ``instances.insert``, and returns the request, not sent yet.

    Raises
    ------
    DoodadMissing
        If there is no doodad.
    """
    run: Insert = _mode_class(engine.load())(client, settings).run_script
    return run


@functools.cache
def _mode_class(doodad: Doodad) -> Any:
    base: Any = doodad.mode.GCPMode

    class RequestingMode(base):  # type: ignore[misc]  # doodad has no types
        def __init__(self, client: Any, settings: Mapping[str, Any]) -> None:
            # It refuses GPUs newer than those of 2018; ours are in the request.
            super().__init__(**{**settings, "use_gpu": False})
            self.use_gpu = settings.get("use_gpu", False)
            # Its own client knows no time limit, and no other address.
            self.compute = client

        def run_script(self, request: Mapping[str, Any]) -> Any:
            """Upload nothing: what the machine runs is in the bucket."""
            return self.create_instance(**request)

        def create_instance(self, body: Mapping[str, Any], zone: str, requestId: str) -> Any:  # noqa: N803 - the API's name
            return self.compute.instances().insert(
                project=self.gcp_project, zone=zone, body=body, requestId=requestId
            )

    return RequestingMode
