"""Services that moto does not have: the Price List, the quotas of EC2, and images for GPUs."""

from __future__ import annotations

import json
from typing import Any

from aws_requests import Refusal, Request, Response

_JSON = ("Content-Type", "application/x-amz-json-1.1")


class Extras:
    """What is answered before moto is asked."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""

    def answer(self, request: Request) -> Response | None:
        """Answer a request; None if moto can."""
        return None
