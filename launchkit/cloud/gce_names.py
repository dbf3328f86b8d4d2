"""The names and labels of our machines in Google Cloud, which tell whose they are."""

from __future__ import annotations

import hashlib
import re
import uuid

PREFIX = "lk-"
"""What the names of all our machines begin with; the role of the machines goes by it."""
LABEL = "launchkit"
SWEEP = "launchkit-sweep"
TOKEN = "launchkit-token"  # noqa: S105 - the name of a label
PACK = "launchkit-pack"
BASE = "launchkit-base"

LONGEST_TOKEN = 44
"""With it a name has its 63 characters at a pack of 8 digits."""
_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{6}}-([a-z0-9-]+)-(\d+)")


def stem(sweep: str, token: str = "") -> str:
    """Return what the names of a sweep's machines begin with, or of those of a request."""
    whose = hashlib.sha256(sweep.encode()).hexdigest()[:6]
    return f"{PREFIX}{whose}-{_short(token)}-" if token else f"{PREFIX}{whose}-"


def name(sweep: str, token: str, pack: int) -> str:
    """Return the name of a machine: asked for twice by it, there is still one.

    Parameters
    ----------
    sweep
        The sweep's id.
    token
        The token of the request.
    pack
        What it runs.

    Raises
    ------
    ValueError
        If that gives no name that a machine may have.
    """
    found = f"{stem(sweep, token)}{pack}"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", found):
        raise ValueError(f"{token!r} makes no name of a machine: it is a-z, 0-9 and - only")
    return found


def pack_of(machine: str) -> int:
    """Return the pack of a machine by its name; -1 if that is none of ours."""
    found = _NAME.fullmatch(machine)
    return int(found[2]) if found else -1


def token_of(machine: str) -> str:
    """Return the token that a machine was asked for with; empty if the name had no room for it."""
    found = _NAME.fullmatch(machine)
    return found[1] if found and len(found[1]) < LONGEST_TOKEN else ""


def request_id(project: str, zone: str, machine: str, failed: int) -> str:
    """Return the id of a request for a machine, by which Google knows it again.

    Parameters
    ----------
    project, zone, machine
        What is asked for.
    failed
        How often that has failed: with the id of a request that has, nothing is bought.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{project}/{zone}/{machine}/{failed}"))


def label(value: str) -> str:
    """Return a value as a label can have it: a-z, 0-9, ``-`` and ``_``, at most 63."""
    found = re.sub(r"[^a-z0-9_-]", "-", value.lower())
    if found == value and len(found) <= 63:
        return found
    return f"{found[:50]}-{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def _short(token: str) -> str:
    if len(token) < LONGEST_TOKEN:
        return token
    # Longer than all that are taken as they are: no two requests have the same.
    return f"{token[: LONGEST_TOKEN - 12]}-{hashlib.sha256(token.encode()).hexdigest()[:11]}"
