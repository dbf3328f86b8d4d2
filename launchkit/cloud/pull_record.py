"""What has been pulled from a bucket into a directory, so that only news is pulled again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from launchkit import driver, files
from launchkit.job import OWN_DIR
from launchkit.sweep import Sweep, SweepError

FILE = "pulled.json"


@dataclass
class Record:
    """What has been pulled.

    Parameters
    ----------
    url
        The address of the sweep in its bucket.
    directory
        The sweep's directory here.
    etags
        The etag of each object that is here as it was there, by its key.
    beside
        The directories beside the sweep's that were made by this.
    """

    url: str
    directory: Path
    etags: dict[str, str] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, url: str, directory: Path) -> Record:
        """Return what has been pulled into a directory so far.

        Raises
        ------
        SweepError
            If something else is in it, or the sweep is driven from there.
        """
        try:
            values = json.loads((directory / OWN_DIR / FILE).read_text(encoding="utf-8"))
            known = cls(values["url"], directory, values["etags"], set(values["beside"]))
        except FileNotFoundError:
            if directory.is_dir() and any(directory.iterdir()):
                raise SweepError(
                    f"{directory} is not empty, and was not pulled; name another directory"
                ) from None
            return cls(url, directory)
        except (ValueError, KeyError, TypeError) as error:
            raise SweepError(
                f"{directory / OWN_DIR / FILE} is damaged ({error!r}); name another directory"
            ) from error
        if known.url != url:
            raise SweepError(
                f"{directory} was pulled from {known.url}; name another directory for {url}"
            )
        _refuse_driven(directory)
        return known

    def save(self) -> None:
        """Write it down."""
        own = self.directory / OWN_DIR
        own.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {"url": self.url, "etags": self.etags, "beside": sorted(self.beside)}
        files.write_json(own / FILE, content, mode=0o600)

    def make_beside(self, top: str) -> None:
        """See to it that a directory beside the sweep's may be written to.

        Raises
        ------
        SweepError
            If something else is there.
        """
        if top in self.beside:
            return
        path = self.directory.parent / top
        if path.exists() or path.is_symlink():
            raise SweepError(
                f"{path} is there already, and the sweep has jobs in a directory of that name "
                "beside its own; name a directory in another place"
            )
        self.beside.add(top)
        self.save()


def _refuse_driven(directory: Path) -> None:
    try:
        last = driver.current(Sweep.open(directory))
    except SweepError:
        return
    if last is not None and last.directory == str(directory) and last.alive is not False:
        raise SweepError(
            f"{last.describe()} drives the sweep from {directory}: there is nothing to pull"
        )
