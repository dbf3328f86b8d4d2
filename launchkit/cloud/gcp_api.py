"""Asking Google Cloud until there is an answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from launchkit.cloud import gcp_errors, stores
from launchkit.cloud.patience import PATIENCE_S, Patience, waiting
from launchkit.cloud.providers import Expired, Refused, Unreachable

try:
    import google.auth
    import google_auth_httplib2
    import httplib2
    from googleapiclient import discovery
except ModuleNotFoundError as missing:
    raise Refused(
        f"Google Cloud needs {missing.name}, which is not installed; "
        "`pip install 'hydra-launchkit[gcp]'`"
    ) from missing

TIMEOUT_S = 60.0
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
VERSIONS = {
    "compute": "v1",
    "iam": "v1",
    "cloudresourcemanager": "v1",
    "storage": "v1",
    "serviceusage": "v1",
}
_PATHS = {"compute": "/compute/v1/", "storage": "/storage/v1/"}


class Google:
    """The APIs of Google Cloud. Every method may be called from several threads at once.

    Parameters
    ----------
    patience_s
        For how many seconds to ask again what has failed for a while.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._each = threading.local()
        # Google's clients have no types.
        self._credentials: Any = None
        self._logins = 0
        self._services: dict[str, Any] = {}

    def api(self, name: str = "compute") -> Any:
        """Return a client that makes requests for `ask`; it sends none itself.

        Raises
        ------
        Refused
            If there are no credentials.
        """
        with self._lock:
            self._log_in()
            if name not in self._services:
                address = endpoint(name)
                self._services[name] = discovery.build(
                    name,
                    VERSIONS[name],
                    credentials=self._credentials,
                    cache_discovery=False,
                    static_discovery=True,
                    client_options={"api_endpoint": address} if address else None,
                )
            return self._services[name]

    def ask(self, request: Any, what: str, *, patience_s: float | None = None) -> Any:
        """Send a request until there is an answer.

        Parameters
        ----------
        request
            Made by a client of `api`; sent twice, it must do no more than sent once.
        what
            What it is about, for messages.
        patience_s
            For how many seconds to ask again; None for as long as usual.

        Raises
        ------
        NotThere
            If there is no such thing.
        AlreadyThere
            If there is one of that name.
        NoCapacity
            If it is more than the project may have now.
        Refused
            If Google says no.
        Expired
            If the credentials have expired.
        Unreachable
            If there was no answer.
        """
        seconds = self._patience_s if patience_s is None else min(patience_s, self._patience_s)
        patience = Patience(seconds, what)
        while True:
            try:
                with waiting():
                    return request.execute(http=self._http(), num_retries=0)
            except Exception as error:  # Google's errors have no common base
                if not gcp_errors.is_known(error):
                    raise
                if gcp_errors.is_passing(error):
                    _pause(patience, error)
                    continue
                meaning = gcp_errors.meaning(error, what)
                if isinstance(meaning, Expired):
                    self._log_out()
                raise meaning from error

    def pages(self, resource: Any, method: str, what: str, **parameters: Any) -> Iterator[Any]:
        """Yield the answers to a question, however many pages they are."""
        request = getattr(resource, method)(**parameters)
        while request is not None:
            answer = self.ask(request, what)
            yield answer
            request = getattr(resource, f"{method}_next")(request, answer)

    def _http(self) -> Any:
        """Return this thread's own connection: those of httplib2 are for one thread each."""
        with self._lock:
            self._log_in()
            credentials, login = self._credentials, self._logins
        if getattr(self._each, "login", None) != login:
            self._each.login = login
            self._each.http = google_auth_httplib2.AuthorizedHttp(
                credentials, http=httplib2.Http(timeout=min(TIMEOUT_S, 1 + self._patience_s))
            )
        return self._each.http

    def _log_in(self) -> None:
        if self._credentials is not None:
            return
        try:
            self._credentials, _ = google.auth.default(scopes=[SCOPE])
        except google.auth.exceptions.GoogleAuthError as error:
            raise gcp_errors.meaning(error, "Google Cloud") from error
        self._logins += 1

    def _log_out(self) -> None:
        """Forget the credentials: who logs in anew writes a file that has to be read again."""
        with self._lock:
            self._credentials = None
            self._services.clear()


def endpoint(name: str) -> str:
    """Return where an API is by the variables for that; empty for where it always is.

    Parameters
    ----------
    name
        The API, ``compute`` say.
    """
    address = os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}", "")
    if not address and name == "storage":
        address = os.environ.get("STORAGE_EMULATOR_HOST", "")
        address = address if not address or "://" in address else f"http://{address}"
    if not address:
        return ""
    address = address.rstrip("/")
    return f"{address}/" if urlsplit(address).path else address + _PATHS.get(name, "/")


def _pause(patience: Patience, error: Exception) -> None:
    try:
        patience.pause(error, gcp_errors.said(error))
    except stores.Unreachable as told:
        raise Unreachable(str(told)) from error
