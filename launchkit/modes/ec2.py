"""``ec2``: jobs on machines of EC2, which are rented for them through doodad."""

from __future__ import annotations

from launchkit.cloud import logins, startup
from launchkit.cloud.boot import Boot
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.providers import Provider
from launchkit.cloud.stores import Store, open_store
from launchkit.doodad import ec2_mode
from launchkit.modes.cloud import CloudMode


class Ec2Mode(CloudMode[Ec2Settings]):
    """Runs jobs on machines of EC2, a pack each, with a bucket of S3 in between."""

    name = "ec2"
    Settings = Ec2Settings
    scheme = "s3"

    @classmethod
    def lacking(cls) -> list[str]:
        """Say whether boto3 or credentials of AWS are lacking, or doodad."""
        return [*logins.ec2_lacking(), *super().lacking()]

    @property
    def prefix(self) -> str:
        """The prefix in the bucket below which sweeps are."""
        return self.settings.s3_log_path

    def make_provider(self) -> Provider:
        """Return EC2, asked through doodad."""
        from launchkit.cloud.ec2 import Ec2  # noqa: PLC0415 - needs boto3, of an extra

        return Ec2(self.settings, ec2_mode.buy)

    def make_store(self) -> Store:
        """Return the bucket of S3."""
        return open_store("s3", self.bucket, region=self.settings.region)

    def startup(self, boot: Boot) -> str:
        """Return the user-data."""
        return startup.ec2(boot)
