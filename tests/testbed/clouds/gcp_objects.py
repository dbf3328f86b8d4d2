"""The buckets and objects of the simulated Google Cloud, in memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import google_crc32c
from gcp_web import Problem, bad_request, not_found

WRITABLE = (
    "contentType",
    "contentEncoding",
    "contentLanguage",
    "contentDisposition",
    "cacheControl",
    "customTime",
    "metadata",
)
_generations = itertools.count(int(time.time() * 1e6))


def stamp(seconds: float | None = None) -> str:
    """Word a time as Google does."""
    seconds = time.time() if seconds is None else seconds
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{int(seconds % 1 * 1000):03d}Z"


def etag_of(*numbers: int) -> str:
    """Make the tag of something that has these versions."""
    digest = hashlib.md5(repr(numbers).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest[:8]).decode()


@dataclass
class Thing:
    """An object."""

    bucket: str
    name: str
    data: bytes
    fields: dict[str, Any]
    generation: int = field(default_factory=lambda: next(_generations))
    metageneration: int = 1
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    components: int | None = None

    def __post_init__(self) -> None:
        self.md5 = base64.b64encode(hashlib.md5(self.data, usedforsecurity=False).digest()).decode()
        crc = google_crc32c.value(self.data)
        self.crc32c = base64.b64encode(crc.to_bytes(4, "big")).decode()

    @property
    def etag(self) -> str:
        """The tag, which changes with content and with metadata."""
        return etag_of(self.generation, self.metageneration)

    def resource(self, origin: str) -> dict[str, Any]:
        """Return the object as the API shows it; `origin` is where the API was reached.

        The links lead there again: clients download from where a link points to.
        """
        path = f"storage/v1/b/{self.bucket}/o/{urllib.parse.quote(self.name, safe='')}"
        shown = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": f"{origin}/{path}",
            "mediaLink": f"{origin}/download/{path}?generation={self.generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "storageClass": "STANDARD",
            "size": str(len(self.data)),
            "crc32c": self.crc32c,
            "etag": self.etag,
            "timeCreated": stamp(self.created),
            "updated": stamp(self.updated),
            "timeStorageClassUpdated": stamp(self.created),
            "timeFinalized": stamp(self.created),
            **self.fields,
        }
        # A composed object has none, as nobody has read it through.
        if self.components is None:
            shown["md5Hash"] = self.md5
        else:
            shown["componentCount"] = self.components
        return shown


@dataclass
class Bucket:
    """A bucket."""

    name: str
    fields: dict[str, Any]
    objects: dict[str, Thing] = field(default_factory=dict)
    metageneration: int = 1
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    policy: dict[str, Any] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """The tag of the bucket itself."""
        return etag_of(int(self.created * 1e6), self.metageneration)

    def resource(self, origin: str = "", *, full: bool = False) -> dict[str, Any]:
        """Return the bucket as the API shows it; `origin` is where that was reached."""
        shown = {
            "kind": "storage#bucket",
            "id": self.name,
            "selfLink": f"{origin}/storage/v1/b/{self.name}",
            "name": self.name,
            "projectNumber": "123456789012",
            "generation": str(int(self.created * 1e6)),
            "metageneration": str(self.metageneration),
            "location": "US",
            "locationType": "multi-region",
            "storageClass": "STANDARD",
            "rpo": "DEFAULT",
            "etag": self.etag,
            "timeCreated": stamp(self.created),
            "updated": stamp(self.updated),
            "softDeletePolicy": {"retentionDurationSeconds": "604800"},
            **self.fields,
        }
        shown["location"] = str(shown["location"]).upper()
        if shown["location"] not in ("US", "EU", "ASIA"):
            shown["locationType"] = "region"
        iam = {
            "publicAccessPrevention": "inherited",
            "uniformBucketLevelAccess": {"enabled": False},
            **self.fields.get("iamConfiguration", {}),
        }
        shown["iamConfiguration"] = iam
        if full and not iam["uniformBucketLevelAccess"].get("enabled"):
            shown["acl"] = []
        return shown


class Objects:
    """All buckets. Every method holds the lock while it works."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.buckets.clear()

    def bucket(self, name: str) -> Bucket:
        """Return a bucket; raises `Problem` if there is none."""
        with self.lock:
            found = self.buckets.get(name)
        if found is None:
            raise not_found("The specified bucket does not exist.")
        return found

    def make_bucket(self, told: Mapping[str, Any]) -> Bucket:
        """Make a bucket of its resource."""
        name = told.get("name")
        if not isinstance(name, str) or not 3 <= len(name) <= 222 or name != name.lower():
            raise bad_request(f"Invalid bucket name: '{name}'")
        with self.lock:
            if name in self.buckets:
                message = (
                    "Your previous request to create the named bucket succeeded and you already "
                    "own it."
                )
                raise Problem(409, message, "conflict")
            kept = {key: value for key, value in told.items() if key not in ("name", "kind")}
            self.buckets[name] = Bucket(name, kept)
            return self.buckets[name]

    def drop_bucket(self, name: str) -> None:
        """Delete an empty bucket."""
        with self.lock:
            if self.bucket(name).objects:
                raise Problem(409, "The bucket you tried to delete is not empty.", "conflict")
            del self.buckets[name]

    def find(self, bucket: str, name: str, query: Mapping[str, str]) -> Thing:
        """Return an object if the preconditions of the request let it."""
        with self.lock:
            found = self.bucket(bucket).objects.get(name)
            wanted = query.get("generation")
            if found is None or (wanted and str(wanted) != str(found.generation)):
                raise not_found(f"No such object: {bucket}/{name}")
            check_conditions(found, query, reading=True)
            return found

    def put(
        self,
        bucket: str,
        name: str,
        data: bytes,
        told: Mapping[str, Any],
        query: Mapping[str, str],
        components: int | None = None,
    ) -> Thing:
        """Write an object, whole, if the preconditions let it."""
        if not name or len(name.encode()) > 1024 or "\n" in name or "\r" in name:
            raise bad_request(f"Invalid object name: {name!r}")
        kept = {key: told[key] for key in WRITABLE if told.get(key) is not None}
        kept.setdefault("contentType", "application/octet-stream")
        thing = Thing(bucket, name, data, kept, components=components)
        for key, mine in (("md5Hash", thing.md5), ("crc32c", thing.crc32c)):
            if told.get(key) not in (None, "", mine):
                raise bad_request(
                    f"Provided {key} hash {told[key]!r} doesn't match calculated {mine!r}."
                )
        with self.lock:
            objects = self.bucket(bucket).objects
            check_conditions(objects.get(name), query)
            objects[name] = thing
            return thing

    def patch(
        self, bucket: str, name: str, told: Mapping[str, Any], query: Mapping[str, str]
    ) -> Thing:
        """Change what is said of an object."""
        with self.lock:
            thing = self.find(bucket, name, {k: v for k, v in query.items() if "Not" not in k})
            for key in WRITABLE:
                if key not in told:
                    continue
                if told[key] is None:
                    thing.fields.pop(key, None)
                elif key == "metadata":
                    merged = {**thing.fields.get(key, {}), **told[key]}
                    thing.fields[key] = {k: v for k, v in merged.items() if v is not None}
                else:
                    thing.fields[key] = told[key]
            thing.metageneration += 1
            thing.updated = time.time()
            return thing

    def drop(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Delete an object."""
        with self.lock:
            self.find(bucket, name, query)
            del self.bucket(bucket).objects[name]

    def compose(
        self,
        bucket: str,
        name: str,
        sources: Iterable[Mapping[str, Any]],
        told: Mapping[str, Any],
        query: Mapping[str, str],
    ) -> Thing:
        """Join objects into one."""
        parts = []
        with self.lock:
            for source in sources:
                conditions = dict(source.get("objectPreconditions") or {})
                if source.get("generation"):
                    conditions["generation"] = source["generation"]
                parts.append(self.find(bucket, source["name"], conditions))
            if not 1 <= len(parts) <= 32:
                raise bad_request("The number of source components must be 1 to 32.")
            data = b"".join(part.data for part in parts)
            many = sum(part.components or 1 for part in parts)
            return self.put(bucket, name, data, told, query, components=many)


def check_conditions(
    thing: Thing | None, query: Mapping[str, str], *, reading: bool = False
) -> None:
    """Raise `Problem` unless an object is as the request wants it to be.

    Generation 0 stands for an object that is not there.
    """
    generation = thing.generation if thing else 0
    metageneration = thing.metageneration if thing else 0
    for name, mine in (("Generation", generation), ("Metageneration", metageneration)):
        wanted = query.get(f"if{name}Match")
        if wanted is not None and int(wanted) != mine:
            raise Problem(
                412,
                "At least one of the pre-conditions you specified did not hold.",
                "conditionNotMet",
            )
        unwanted = query.get(f"if{name}NotMatch")
        if unwanted is not None and int(unwanted) == mine:
            raise Problem(304 if reading else 412, "Not modified.", "conditionNotMet")
