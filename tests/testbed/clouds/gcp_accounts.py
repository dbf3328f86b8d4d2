"""Who may do what in the simulated Google Cloud: service accounts, their tokens, roles, policy."""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gcp_catalog as catalog
from gcp_objects import etag_of
from gcp_web import Answer, Problem, Request, bad_request

OWNER = f"tester@{catalog.PROJECT}.iam.gserviceaccount.com"
"""Who has the self-made key; may do everything."""
MACHINE = f"launchkit-machine@{catalog.PROJECT}.iam.gserviceaccount.com"
"""An account for machines that is there from the beginning, and may do everything as well."""
LIFE_S = 3600
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True)
class Token:
    """A token; `scopes` are what it may be used for."""

    email: str
    scopes: tuple[str, ...]
    until: float


class Accounts:
    """The accounts of the project, and the tokens they have been given."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.compute_default = f"{catalog.PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
        self._tokens: dict[str, Token] = {}
        self.clear()

    def clear(self) -> None:
        """Leave only what a new project has; tokens stay good."""
        with self.lock:
            self.accounts: dict[str, dict[str, Any]] = {}
            self.roles: dict[str, dict[str, Any]] = {}
            self.services: set[str] = {"compute.googleapis.com", "storage.googleapis.com"}
            self.version = 1
            self.policy: dict[str, Any] = {
                "version": 1,
                "bindings": [
                    {"role": "roles/owner", "members": [f"serviceAccount:{OWNER}"]},
                    {
                        "role": "roles/editor",
                        "members": [
                            f"serviceAccount:{self.compute_default}",
                            f"serviceAccount:{MACHINE}",
                        ],
                    },
                ],
            }
            for email in (OWNER, MACHINE, self.compute_default):
                self.add(email)

    def add(self, email: str, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make an account."""
        number = str(100000000000000000000 + catalog.hash_of(email))
        with self.lock:
            self.accounts[email] = {
                "name": f"projects/{catalog.PROJECT}/serviceAccounts/{email}",
                "projectId": catalog.PROJECT,
                "uniqueId": number,
                "email": email,
                "oauth2ClientId": number,
                "etag": "MDEwMjE5MjA=",
                **(told or {}),
            }
            return self.accounts[email]

    def exists(self, email: str) -> bool:
        """Say whether there is such an account."""
        with self.lock:
            return email in self.accounts

    @property
    def policy_etag(self) -> str:
        """The tag of the project's policy."""
        return etag_of(self.version)

    def token(self, email: str, scopes: Sequence[str], life_s: float = LIFE_S) -> dict[str, Any]:
        """Give an account a token, as the token endpoint and the metadata service word it."""
        text = "ya29.c." + secrets.token_urlsafe(48)
        with self.lock:
            self._tokens[text] = Token(email, tuple(scopes), time.time() + life_s)
        return {"access_token": text, "expires_in": int(life_s) - 1, "token_type": "Bearer"}

    def expire_tokens(self) -> None:
        """Let no token that was given until now be good any more."""
        with self.lock:
            self._tokens = {
                text: Token(token.email, token.scopes, 0.0) for text, token in self._tokens.items()
            }

    def gate(self, request: Request) -> str:
        """Return who calls, or nothing for nobody.

        Raises
        ------
        Problem
            If the token is none of ours or too old, or was not made for such a request; or if
            there is none where one is needed. The storage needs none, unless it is reached under
            Google's own name: a client library that is told of an emulator sends none.
        """
        path = request.path
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if path.startswith(("/_testbed/", "/token", "/batch")) or path == "/":
            return ""
        is_storage = re.match(r"(/resumable)?(/upload|/download)?/storage/", path) is not None
        is_emulator = not request.headers.get("Host", "").endswith(".googleapis.com")
        # The address of an upload in steps is a key by itself.
        if not text and is_storage and (is_emulator or "upload_id" in request.query):
            return ""
        token = self._read(kind, text)
        if token is None:
            raise Problem(401, "Invalid Credentials", "authError", "UNAUTHENTICATED")
        service = "devstorage" if is_storage else "compute"
        if not any(
            CLOUD_PLATFORM in scope or f"/auth/{service}" in scope for scope in token.scopes
        ):
            raise Problem(
                403,
                "Request had insufficient authentication scopes.",
                "insufficientPermissions",
                "PERMISSION_DENIED",
            )
        return token.email

    def _read(self, kind: str, text: str) -> Token | None:
        if kind.lower() not in ("bearer", "oauth") or not text:
            return None
        with self.lock:
            token = self._tokens.get(text)
        if token is None and text.count(".") == 2 and not text.startswith("ya29."):
            told = _claims(text)
            token = Token(told.get("iss", ""), (CLOUD_PLATFORM,), float(told.get("exp", 0)))
        if token is None or token.until < time.time() or not self.exists(token.email):
            return None
        return token

    def room(self, request: Request) -> Answer | None:
        """Answer a request for a token, if it is one."""
        if request.path != "/token" or request.method != "POST":
            return None
        request.action = "oauth2.token"
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return Answer.of({"error": "unsupported_grant_type"}, 400)
        try:
            told = _claims(form.get("assertion", ""))
        except Problem:
            told = {}
        if not self.exists(told.get("iss", "")) or float(told.get("exp", 0)) < time.time():
            why = "Invalid grant: account not found, or the assertion is too old"
            return Answer.of({"error": "invalid_grant", "error_description": why}, 400)
        return Answer.of(self.token(told["iss"], str(told.get("scope", "")).split()))


def _claims(assertion: str) -> dict[str, Any]:
    """Return what a JSON web token says; its signature is not looked at."""
    try:
        part = assertion.split(".")[1]
        told = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        raise bad_request("Invalid JWT") from None
    return told if isinstance(told, dict) else {}
