"""The JSON API of Google Cloud Storage: buckets, objects, listings.

`Storage.room` serves what google-cloud-storage, gsutil and `gcloud storage` ask for; the three
ways to upload are in gcp_uploads.py.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

import gcp_listing
from gcp_fields import masked
from gcp_objects import Bucket, Objects, Thing
from gcp_uploads import Uploads
from gcp_web import Answer, Problem, Request, bad_request, names, segments

_NOT_PATCHED = ("name", "id", "kind", "etag", "metageneration", "selfLink")


class Storage:
    """The API over some buckets."""

    def __init__(self, objects: Objects | None = None) -> None:
        self.objects = objects or Objects()
        self.uploads = Uploads(self.objects)
        base = r"/storage/v1"
        self._routes = [
            (method, names(base + pattern), action, do)
            for method, pattern, action, do in (
                ("GET", "/b", "buckets.list", self._list_buckets),
                ("POST", "/b", "buckets.insert", self._insert_bucket),
                ("GET", "/b/{b}", "buckets.get", self._get_bucket),
                ("PATCH", "/b/{b}", "buckets.patch", self._patch_bucket),
                ("PUT", "/b/{b}", "buckets.update", self._patch_bucket),
                ("DELETE", "/b/{b}", "buckets.delete", self._delete_bucket),
                ("GET", "/b/{b}/iam", "buckets.getIamPolicy", self._get_policy),
                ("PUT", "/b/{b}/iam", "buckets.setIamPolicy", self._set_policy),
                ("GET", "/b/{b}/iam/testPermissions", "buckets.testIamPermissions", self._test),
                ("GET", "/b/{b}/storageLayout", "buckets.getStorageLayout", self._layout),
                ("GET", "/b/{b}/o", "objects.list", self._list),
                ("POST", "/b/{b}/o/{o}/compose", "objects.compose", self._compose),
                ("POST", "/b/{b}/o/{o}/{how}/b/{b2}/o/{o2}", "objects.rewrite", self._copy),
                ("GET", "/b/{b}/o/{o}", "objects.get", self._get),
                ("HEAD", "/b/{b}/o/{o}", "objects.get", self._get),
                ("PATCH", "/b/{b}/o/{o}", "objects.patch", self._patch),
                ("PUT", "/b/{b}/o/{o}", "objects.update", self._patch),
                ("DELETE", "/b/{b}/o/{o}", "objects.delete", self._delete),
                ("GET", "/projects/{p}/serviceAccount", "projects.serviceAccount", self._agent),
            )
        ]

    def room(self, request: Request) -> Answer | None:
        """Answer a request if it is one to the storage."""
        path = re.sub(r"^(?:/resumable)?/(?:upload|download)(?=/storage/)", "", request.path)
        if path != request.path and not request.path.startswith("/download/"):
            request.action = "storage.objects.insert"
            return self.uploads.answer(request, path)
        if path != request.path:
            request.query["alt"] = "media"
        for method, pattern, action, do in self._routes:
            if method == request.method and (found := pattern.fullmatch(path)):
                request.action = f"storage.{action}"
                if found.groupdict().get("how") == "copyTo":
                    request.action = "storage.objects.copy"
                return _masked(do(request, **segments(found)), request)
        return None

    def _list_buckets(self, request: Request) -> Answer:
        with self.objects.lock:
            buckets = [
                bucket.resource(request.origin)
                for _, bucket in sorted(self.objects.buckets.items())
            ]
        prefix = request.query.get("prefix", "")
        items = [bucket for bucket in buckets if bucket["name"].startswith(prefix)]
        return Answer.of({"kind": "storage#buckets", "items": items})

    def _insert_bucket(self, request: Request) -> Answer:
        if "project" not in request.query:
            raise bad_request("Required parameter: project", "required")
        return self._bucket(self.objects.make_bucket(request.json), request)

    def _get_bucket(self, request: Request, b: str) -> Answer:
        return self._bucket(self.objects.bucket(b), request)

    def _patch_bucket(self, request: Request, b: str) -> Answer:
        with self.objects.lock:
            bucket = self.objects.bucket(b)
            _check_metageneration(bucket, request)
            told = {k: v for k, v in request.json.items() if k not in _NOT_PATCHED}
            bucket.fields = _merged(bucket.fields, told)
            bucket.metageneration += 1
        return self._bucket(bucket, request)

    def _delete_bucket(self, request: Request, b: str) -> Answer:
        self.objects.drop_bucket(b)
        return Answer(204)

    @staticmethod
    def _bucket(bucket: Bucket, request: Request) -> Answer:
        return Answer.of(bucket.resource(request.origin, full=True), ETag=bucket.etag)

    def _get_policy(self, request: Request, b: str) -> Answer:
        bucket = self.objects.bucket(b)
        policy = {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{b}", "version": 1}
        return Answer.of({**policy, "etag": bucket.etag, "bindings": [], **bucket.policy})

    def _set_policy(self, request: Request, b: str) -> Answer:
        told = request.json
        with self.objects.lock:
            bucket = self.objects.bucket(b)
            if told.get("etag") not in (None, "", bucket.etag):
                raise Problem(412, "The policy has changed meanwhile.", "conditionNotMet")
            check_policy(told, uniform=bool(_uniform(bucket)))
            bucket.policy = {k: v for k, v in told.items() if k in ("version", "bindings")}
            bucket.metageneration += 1
        return self._get_policy(request, b)

    def _test(self, request: Request, b: str) -> Answer:
        self.objects.bucket(b)
        asked = request.queries.get("permissions", [])
        return Answer.of({"kind": "storage#testIamPermissionsResponse", "permissions": asked})

    def _layout(self, request: Request, b: str) -> Answer:
        shown = self.objects.bucket(b).resource()
        return Answer.of(
            {
                "kind": "storage#storageLayout",
                "bucket": b,
                "location": shown["location"],
                "locationType": shown["locationType"],
                "hierarchicalNamespace": {"enabled": False},
            }
        )

    def _agent(self, request: Request, p: str) -> Answer:
        email = f"service-{p}@gs-project-accounts.iam.gserviceaccount.com"
        return Answer.of({"kind": "storage#serviceAccount", "email_address": email})

    def _list(self, request: Request, b: str) -> Answer:
        with self.objects.lock:
            objects = dict(self.objects.bucket(b).objects)
        return Answer.of(gcp_listing.page(objects, request.query, request.origin))

    def _get(self, request: Request, b: str, o: str) -> Answer:
        thing = self.objects.find(b, o, request.query)
        known = request.headers.get("If-None-Match", "").strip('"')
        if known and known in (thing.etag, "*"):
            return Answer(304, b"", {"ETag": thing.etag})
        wanted = request.headers.get("If-Match", "").strip('"')
        if wanted and wanted not in (thing.etag, "*"):
            raise Problem(412, "The object has changed.", "conditionNotMet")
        if request.query.get("alt") != "media":
            return Answer.of(thing.resource(request.origin), ETag=thing.etag)
        return media(thing, request)

    def _patch(self, request: Request, b: str, o: str) -> Answer:
        thing = self.objects.patch(b, o, request.json, request.query)
        return Answer.of(thing.resource(request.origin), ETag=thing.etag)

    def _delete(self, request: Request, b: str, o: str) -> Answer:
        self.objects.drop(b, o, request.query)
        return Answer(204)

    def _compose(self, request: Request, b: str, o: str) -> Answer:
        told = request.json
        thing = self.objects.compose(
            b, o, told.get("sourceObjects", []), told.get("destination") or {}, request.query
        )
        return Answer.of(thing.resource(request.origin), ETag=thing.etag)

    def _copy(self, request: Request, b: str, o: str, how: str, b2: str, o2: str) -> Answer:
        query = request.query
        source = {
            "if" + name[len("ifSource") :]: value
            for name, value in query.items()
            if name.startswith("ifSource")
        }
        if "sourceGeneration" in query:
            source["generation"] = query["sourceGeneration"]
        with self.objects.lock:
            old = self.objects.find(b, o, source)
            told = {**old.fields, **request.json}
            thing = self.objects.put(b2, o2, old.data, told, query, components=old.components)
        if how == "copyTo":
            return Answer.of(thing.resource(request.origin), ETag=thing.etag)
        size = str(len(thing.data))
        return Answer.of(
            {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": size,
                "objectSize": size,
                "done": True,
                "resource": thing.resource(request.origin),
            }
        )


def _masked(answer: Answer, request: Request) -> Answer:
    """Leave out the fields that were not asked for."""
    fields = request.query.get("fields")
    if not fields or request.query.get("alt") == "media" or not answer.body:
        return answer
    body = json.dumps(masked(json.loads(answer.body), fields)).encode()
    return Answer(answer.status, body, answer.headers)


def media(thing: Thing, request: Request) -> Answer:
    """Answer with an object's content, or the range of it that is asked for."""
    headers = {
        "Content-Type": thing.fields["contentType"],
        "ETag": thing.etag,
        "Accept-Ranges": "bytes",
        "X-Goog-Generation": str(thing.generation),
        "X-Goog-Metageneration": str(thing.metageneration),
        "X-Goog-Hash": f"crc32c={thing.crc32c},md5={thing.md5}",
        "X-Goog-Stored-Content-Length": str(len(thing.data)),
        "X-Goog-Stored-Content-Encoding": thing.fields.get("contentEncoding", "identity"),
        "X-Goog-Storage-Class": "STANDARD",
    }
    data = thing.data
    if encoding := thing.fields.get("contentEncoding"):
        if encoding == "gzip" and "gzip" not in request.headers.get("Accept-Encoding", ""):
            # What Google calls transcoding; ranges are not looked at then.
            return Answer(200, gzip.decompress(data), headers)
        headers["Content-Encoding"] = encoding
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if wanted is None or not any(wanted.groups()):
        return Answer(200, data, headers)
    size = len(data)
    if wanted[1]:
        start, end = int(wanted[1]), min(int(wanted[2] or size), size - 1)
    else:
        start, end = max(size - int(wanted[2]), 0), size - 1
    if start >= size:
        headers["Content-Range"] = f"bytes */{size}"
        return Answer(416, b"", headers)
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Answer(206, data[start : end + 1], headers)


def check_policy(policy: dict[str, Any], *, uniform: bool = True) -> None:
    """Raise `Problem` if an IAM policy is none, or has conditions where there can be none."""
    for binding in policy.get("bindings", []):
        unknown = set(binding) - {"role", "members", "condition"}
        role = binding.get("role", "")
        if unknown or not re.fullmatch(r"(projects/[^/]+/|organizations/\d+/)?roles/[\w.]+", role):
            raise bad_request(f"Invalid binding: {binding}")
        for member in binding.get("members", []):
            if not re.fullmatch(
                r"allUsers|allAuthenticatedUsers|\w+:[^:]+|deleted:.*|principal(Set)?://.*", member
            ):
                raise bad_request(f"Invalid member: {member}")
        if "condition" in binding:
            if policy.get("version") != 3:
                raise bad_request("A policy with conditions must have version 3.")
            if not uniform:
                raise Problem(
                    412,
                    "Uniform bucket-level access must be enabled for a policy with conditions.",
                    "conditionNotMet",
                )
            if not {"title", "expression"} <= set(binding["condition"]):
                raise bad_request(f"Invalid condition: {binding['condition']}")
    _base64(policy.get("etag"))


def _base64(etag: Any) -> None:
    try:
        base64.b64decode(etag or "", validate=True)
    except (TypeError, ValueError):
        raise bad_request(f"Invalid value for field 'etag': {etag!r}") from None


def _uniform(bucket: Bucket) -> bool:
    return bool(
        bucket.resource()["iamConfiguration"].get("uniformBucketLevelAccess", {}).get("enabled")
    )


def _check_metageneration(bucket: Bucket, request: Request) -> None:
    wanted = request.query.get("ifMetagenerationMatch")
    if wanted is not None and wanted != str(bucket.metageneration):
        raise Problem(412, "The bucket has changed meanwhile.", "conditionNotMet")


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Patch as JSON merge patch does: null removes, objects are merged."""
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result
