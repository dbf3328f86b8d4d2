"""doodad's EC2 mode, made to buy machines that end, and no more of them than were asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from launchkit.doodad import engine
from launchkit.doodad.engine import Doodad


def buy(client: Any, settings: Mapping[str, Any], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send a request for machines.

    doodad's own way buys one machine a job, uploads the archive for each, never says which
    machines they are, and gives them a start-up script that does not end them where the metadata
    service asks for a token.

    Parameters
    ----------
    client
        boto3's client of EC2.
    settings
        The settings of doodad's mode, under its names.
    request
        The parameters of ``RunInstances``.

    Returns
    -------
    Mapping
        EC2's answer.

    Raises
    ------
    DoodadMissing
        If there is no doodad.
    """
    script = request["UserData"]
    more = {name: value for name, value in request.items() if name != "UserData"}
    answer: Mapping[str, Any] = _mode_class(engine.load())(client, settings, more).run_script(
        script
    )
    return answer


@functools.cache
def _mode_class(doodad: Doodad) -> Any:
    base: Any = doodad.mode.EC2Mode

    class RequestingMode(base):  # type: ignore[misc]  # doodad has no types
        def __init__(
            self, client: Any, settings: Mapping[str, Any], request: Mapping[str, Any]
        ) -> None:
            # Who we are is the client's affair: doodad would keep keys.
            super().__init__(ec2_credentials=None, **settings)
            # doodad's mode forgets what it was given.
            self.use_gpu = settings.get("use_gpu", False)
            self._client = client
            self._request = request

        def run_script(self, script: str) -> Any:
            return self._client.run_instances(UserData=script, **self._request)

    return RequestingMode
