"""The three ways to upload an object: its content alone, in two parts, in resumable steps."""

from __future__ import annotations

import json
import re
import threading
import uuid
from dataclasses import dataclass
from typing import Any

from gcp_multipart import parts
from gcp_objects import Objects
from gcp_storage_rights import StorageRights
from gcp_web import Answer, Problem, Request, bad_request, names, not_found, segments

_PATH = names("/storage/v1/b/{b}/o")
_STEP = 256 * 1024
"""Bytes: each step of a resumable upload but the last is a multiple of it."""


@dataclass
class _Session:
    """A resumable upload. `size` is None as long as it is not known."""

    bucket: str
    name: str
    told: dict[str, Any]
    query: dict[str, str]
    size: int | None
    data: bytes = b""
    done: Answer | None = None


class Uploads:
    """Uploads into some buckets."""

    def __init__(self, objects: Objects, rights: StorageRights) -> None:
        self._objects = objects
        self._rights = rights
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request, path: str) -> Answer:
        """Answer a request below ``/upload``; `path` is without that."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise not_found(f"nothing is uploaded to {path}")
        bucket = segments(found)["b"]
        if upload := request.query.get("upload_id"):
            return self._step(request, upload)
        kind = request.query.get("uploadType")
        if request.method == "POST" and kind == "media":
            told = {"contentType": request.headers.get("Content-Type")}
            self._rights.need_new(request, bucket, _named(request, told))
            return self._put(request, bucket, request.query, request.body, told)
        if request.method == "POST" and kind == "multipart":
            told, data = _two_parts(request)
            self._rights.need_new(request, bucket, _named(request, told))
            return self._put(request, bucket, request.query, data, told)
        if request.method in ("POST", "PUT") and kind == "resumable":
            return self._begin(bucket, request)
        raise bad_request(f"Invalid uploadType: {kind}")

    def _put(
        self,
        request: Request,
        bucket: str,
        query: dict[str, str],
        data: bytes,
        told: dict[str, Any],
    ) -> Answer:
        name = query.get("name") or told["name"]
        if "contentEncoding" in query:
            told = {**told, "contentEncoding": query["contentEncoding"]}
        thing = self._objects.put(bucket, name, data, told, query)
        return Answer.of(thing.resource(request.origin), ETag=thing.etag)

    def _begin(self, bucket: str, request: Request) -> Answer:
        told = request.json
        name = _named(request, told)
        self._rights.need_new(request, bucket, name)
        if kind := request.headers.get("X-Upload-Content-Type"):
            told.setdefault("contentType", kind)
        size = request.headers.get("X-Upload-Content-Length")
        upload = uuid.uuid4().hex
        session = _Session(bucket, name, told, request.query, int(size) if size else None)
        with self._lock:
            self._sessions[upload] = session
        query = f"uploadType=resumable&upload_id={upload}"
        location = f"{request.origin}{request.path}?{query}"
        return Answer(200, b"", {"Location": location, "X-GUploader-UploadID": upload})

    def _step(self, request: Request, upload: str) -> Answer:
        with self._lock:
            session = self._sessions.get(upload)
            if session is None:
                raise not_found(f"there is no upload {upload}")
            if request.method == "DELETE":
                del self._sessions[upload]
                return Answer(499, b"", {"X-GUploader-UploadID": upload})
            if session.done is None:
                self._take(session, request)
            if session.size is None or len(session.data) < session.size:
                return _incomplete(session)
            if session.done is None:
                session.done = self._put(
                    request,
                    session.bucket,
                    {**session.query, "name": session.name},
                    session.data,
                    session.told,
                )
            return session.done

    @staticmethod
    def _take(session: _Session, request: Request) -> None:
        """Take the bytes of a step; those that are there already are passed over."""
        told = request.headers.get("Content-Range", "")
        if not told:
            session.data = request.body
            session.size = len(request.body)
            return
        found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", told)
        if found is None:
            raise bad_request(f"Failed to parse Content-Range header: {told}")
        if found[3] != "*":
            session.size = int(found[3])
        if found[1] is None:
            return
        start, end, have = int(found[1]), int(found[2]), len(session.data)
        if end - start + 1 != len(request.body):
            raise bad_request(f"Content-Range {told} does not fit {len(request.body)} bytes")
        if start > have:
            raise Problem(503, f"there are only {have} bytes yet", "backendError")
        fresh = request.body[have - start :]
        if session.size is None or have + len(fresh) < session.size:
            # Google keeps whole steps only.
            fresh = fresh[: (have + len(fresh)) // _STEP * _STEP - have]
        session.data += fresh


def _named(request: Request, told: dict[str, Any]) -> str:
    name = request.query.get("name") or told.get("name")
    if not name:
        raise bad_request("Required parameter: name", "required")
    return str(name)


def _incomplete(session: _Session) -> Answer:
    headers = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
    return Answer(308, b"", headers)


def _two_parts(request: Request) -> tuple[dict[str, Any], bytes]:
    found = parts(request.headers.get("Content-Type", ""), request.body)
    if len(found) != 2:
        raise bad_request(f"A multipart upload must have 2 parts; this has {len(found)}.")
    try:
        told = json.loads(found[0].body or b"{}")
    except ValueError:
        raise bad_request("Parse Error: the first part must be JSON", "parseError") from None
    told.setdefault("contentType", found[1].headers.get("content-type"))
    return told, found[1].body
