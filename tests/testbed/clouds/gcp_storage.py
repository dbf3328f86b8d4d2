"""The JSON API of Google Cloud Storage: buckets, objects, listings.

`Storage.room` serves what google-cloud-storage, gsutil and `gcloud storage` ask for; the three
ways to upload are in gcp_uploads.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import gcp_listing
from gcp_fields import masked
from gcp_media import media
from gcp_objects import Bucket, Objects
from gcp_policies import check_policy
from gcp_rights import Rights
from gcp_storage_rights import StorageRights
from gcp_uploads import Uploads
from gcp_web import Answer, Problem, Request, bad_request, names, segments

_NOT_PATCHED = ("name", "id", "kind", "etag", "metageneration", "selfLink")


class Storage:
    """The API over some buckets; who may do what counts only where there are `rights`."""

    def __init__(self, objects: Objects | None = None, rights: Rights | None = None) -> None:
        self.objects = objects or Objects()
        self._rights = StorageRights(self.objects, rights)
        self.uploads = Uploads(self.objects, self._rights)
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
                words = segments(found)
                if words.get("how") == "copyTo":
                    request.action = "storage.objects.copy"
                return _masked(self._done(request, action, do, words), request)
        return None

    def _done(
        self, request: Request, action: str, do: Callable[..., Answer], words: dict[str, str]
    ) -> Answer:
        """Do what is asked, if who asks may."""
        try:
            self._check(request, action, **words)
            return do(request, **words)
        except Problem as problem:
            if problem.status == HTTPStatus.NOT_FOUND and "o" in words:
                self.objects.bucket(words["b"])
                raise self._rights.hidden(request, words["b"], words["o"]) from None
            raise

    def _check(
        self,
        request: Request,
        action: str,
        b: str = "",
        o: str | None = None,
        b2: str = "",
        o2: str = "",
        **_: str,
    ) -> None:
        need = self._rights.need
        if action in ("objects.list", "buckets.getStorageLayout"):
            self._rights.need_list(request, b, request.query.get("prefix", ""))
        elif action == "objects.compose":
            for source in request.json.get("sourceObjects", []):
                need(request, "storage.objects.get", b, source.get("name", ""))
            self._rights.need_new(request, b, o or "")
        elif action == "objects.rewrite":
            need(request, "storage.objects.get", b, o)
            self._rights.need_new(request, b2, o2)
        elif action != "buckets.testIamPermissions":
            verb = "objects.update" if action == "objects.patch" else action
            need(request, f"storage.{verb}", b, o)

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
        tested = self._rights.tested(request, b)
        return Answer.of({"kind": "storage#testIamPermissionsResponse", "permissions": tested})

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
