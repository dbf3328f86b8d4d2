"""What a rented machine is told when it is asked for: where its bucket is, how long it lives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Boot:
    """What the start-up script of a machine knows; the same for all machines of a request.

    There is nothing secret in it: whoever may look at a machine can read it.

    Parameters
    ----------
    store
        The address of the bucket: ``s3://bucket`` or ``gs://bucket``.
    region
        The region of the bucket, as far as it is needed to reach it; empty if not.
    base
        The prefix of the sweep in it.
    name
        The name of the sweep's own directory.
    archive
        The key of the archive.
    sha256
        Its SHA-256, in hexadecimal.
    batch
        The key of the batch of job directories that the machine's jobs are in.
    first_pack
        The number of the pack of the first machine of a request; the others count on.
    image
        The image of the container; None for the machine's own Python.
    uses_gpu
        Whether jobs need a GPU there.
    lifetime_min
        Minutes from its start after which the machine ends whatever happens.
    sync_interval_s
        Seconds between two uploads of what has changed.
    unreachable_min
        Minutes without the bucket after which the machine gives up.
    swap_mb
        Megabytes of swap space to make; 0 for none.
    """

    store: str
    region: str
    base: str
    name: str
    archive: str
    sha256: str
    batch: str
    first_pack: int
    image: str | None
    uses_gpu: bool
    lifetime_min: int
    sync_interval_s: float
    unreachable_min: float
    swap_mb: int = 0
