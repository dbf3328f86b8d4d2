"""What an IAM policy may say."""

from __future__ import annotations

import base64
import re
from typing import Any

import gcp_conditions
from gcp_web import Problem, bad_request


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
            gcp_conditions.compiled(binding["condition"]["expression"])
    _base64(policy.get("etag"))


def _base64(etag: Any) -> None:
    try:
        base64.b64decode(etag or "", validate=True)
    except (TypeError, ValueError):
        raise bad_request(f"Invalid value for field 'etag': {etag!r}") from None
