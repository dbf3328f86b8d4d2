"""``gcp``: jobs on machines of Google's Compute Engine, which are rented through doodad."""

from __future__ import annotations

from launchkit.cloud import logins, startup
from launchkit.cloud.boot import Boot
from launchkit.cloud.gcp_settings import GcpSettings
from launchkit.cloud.providers import Provider
from launchkit.cloud.stores import Store, open_store
from launchkit.doodad import gcp_mode
from launchkit.modes.cloud import CloudMode


class GcpMode(CloudMode[GcpSettings]):
    """Runs jobs on machines of Compute Engine, a pack each, with a bucket in between."""

    name = "gcp"
    Settings = GcpSettings
    scheme = "gs"

    @classmethod
    def lacking(cls) -> list[str]:
        """Say whether Google's libraries or credentials are lacking, or doodad."""
        return [*logins.gcp_lacking(), *super().lacking()]

    @property
    def prefix(self) -> str:
        """The prefix in the bucket below which sweeps are."""
        return self.settings.gcp_log_path

    def make_provider(self) -> Provider:
        """Return Compute Engine, asked through doodad."""
        from launchkit.cloud.gce import Gce  # noqa: PLC0415 - needs Google's libraries, of an extra

        return Gce(self.settings, gcp_mode.buy)

    def make_store(self) -> Store:
        """Return the bucket of Cloud Storage."""
        return open_store("gs", self.bucket, project=self.settings.gcp_project)

    def startup(self, boot: Boot) -> str:
        """Return the start-up script."""
        return startup.gcp(boot)
