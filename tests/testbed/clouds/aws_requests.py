"""What is said to the simulated AWS, and what it says."""

from __future__ import annotations

import json
import re
import secrets
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from xml.sax.saxutils import escape

_JSON_SERVICES = ("ssm", "pricing", "servicequotas")
_BUCKET_ACTIONS = {
    "location": "BucketLocation",
    "versioning": "BucketVersioning",
    "publicAccessBlock": "PublicAccessBlock",
    "encryption": "BucketEncryption",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "acl": "Acl",
    "tagging": "Tagging",
    "lifecycle": "BucketLifecycleConfiguration",
}


@dataclass
class Request:
    """A request.

    Parameters
    ----------
    method
        ``GET``, say.
    target
        The path with its query, as it came.
    headers
        By their names in lower case.
    body
        Without the encoding of the transfer.
    client
        The address that it came from.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    client: str = ""

    @cached_property
    def path(self) -> str:
        """The path as it came, without the query."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> dict[str, str]:
        """The fields of the query."""
        query = self.target.partition("?")[2]
        return dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of the body, where it is a form."""
        kind = self.headers.get("content-type", "")
        if not kind.startswith("application/x-www-form-urlencoded"):
            return {}
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))

    @cached_property
    def _scope(self) -> tuple[str, str, str]:
        found = re.search(
            r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request",
            self.headers.get("authorization", ""),
        )
        return (found[1], found[2], found[3]) if found else ("", "us-east-1", "s3")

    @property
    def access_key(self) -> str:
        """Whose key has signed it; empty if none has."""
        return self._scope[0]

    @property
    def region(self) -> str:
        """The region that it is for."""
        return self._scope[1]

    @property
    def service(self) -> str:
        """The service that it is for."""
        return self._scope[2]

    @cached_property
    def action(self) -> str:
        """What is asked, by the name that the service has for it."""
        if target := self.headers.get("x-amz-target"):
            return target.rpartition(".")[2]
        if action := self.form.get("Action") or self.query.get("Action"):
            return action
        return self._s3_action() if self.service == "s3" else f"{self.method} {self.path}"

    def _s3_action(self) -> str:
        bucket, _, key = self.path.lstrip("/").partition("/")
        verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head"}.get(
            self.method, "Post"
        )
        if not bucket:
            return "ListBuckets"
        for field_name, subject in _BUCKET_ACTIONS.items():
            if field_name in self.query:
                return verb + subject
        if key:
            return self._object_action(verb)
        if "delete" in self.query:
            return "DeleteObjects"
        if "uploads" in self.query:
            return "ListMultipartUploads"
        if self.method == "GET":
            return "ListObjectsV2" if "list-type" in self.query else "ListObjects"
        return {"Put": "CreateBucket"}.get(verb, f"{verb}Bucket")

    def _object_action(self, verb: str) -> str:
        if "uploads" in self.query:
            return "CreateMultipartUpload"
        if "uploadId" in self.query:
            return {
                "Put": "UploadPart",
                "Post": "CompleteMultipartUpload",
                "Delete": "AbortMultipartUpload",
            }.get(verb, "ListParts")
        if verb == "Put" and "x-amz-copy-source" in self.headers:
            return "CopyObject"
        return f"{verb}Object"


@dataclass
class Response:
    """An answer."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def answer(self, request: Request, **headers: str) -> Response:
        """Return it in the words of the service that was asked."""
        more = [(name.replace("_", "-"), value) for name, value in headers.items()]
        number = secrets.token_hex(8)
        if request.service in _JSON_SERVICES:
            told = {"__type": self.code, "message": self.message}
            kind = ("Content-Type", "application/x-amz-json-1.1")
            return Response(self.status, [kind, *more], json.dumps(told).encode())
        error = f"<Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message>"
        if request.service == "s3":
            text = f"<Error>{error}<RequestId>{number}</RequestId></Error>"
        elif request.service == "ec2":
            text = f"<Response><Errors><Error>{error}</Error></Errors>"
            text += f"<RequestID>{number}</RequestID></Response>"
        else:
            text = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>"
            text += f"<RequestId>{number}</RequestId></ErrorResponse>"
        body = b"" if request.method == "HEAD" else f'<?xml version="1.0"?>\n{text}'.encode()
        kind = ("Content-Type", "application/xml")
        return Response(self.status, [kind, ("x-amz-request-id", number), *more], body)
