"""The content of an object, as it is downloaded."""

from __future__ import annotations

import gzip
import re

from gcp_objects import Thing
from gcp_web import Answer, Request


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
