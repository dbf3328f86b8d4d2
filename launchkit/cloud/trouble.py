"""What goes by: after such an error the same is asked again."""

from __future__ import annotations

from launchkit.cloud import providers, stores
from launchkit.outside.ssh_route import ConnectionLost

TROUBLE = (
    stores.StoreError,
    providers.Unreachable,
    providers.Refused,
    ConnectionLost,
    OSError,
)
