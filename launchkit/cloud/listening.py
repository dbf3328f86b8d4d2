"""Hears what machines say in the bucket, and brings home what their jobs have written."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from launchkit.cloud.crew import GONE_CODE, Crew
from launchkit.cloud.depot import Depot
from launchkit.cloud.trouble import TROUBLE

LOOKERS = 8


class Listener:
    """Listens to the machines of a sweep.

    Parameters
    ----------
    crew
        The machines.
    depot
        The sweep's place in the bucket.
    """

    def __init__(self, crew: Crew, depot: Depot) -> None:
        self._crew = crew
        self._depot = depot
        self._lookers = ThreadPoolExecutor(LOOKERS, "launchkit-look")
        self.until = time.monotonic()
        """Until when all that machines have said is known here."""
        self.looks = 0
        """How often it was looked at what is there."""

    def close(self) -> None:
        """End the threads."""
        self._lookers.shutdown()

    def listen(self) -> None:
        """Bring home what has changed, of the machines that have something to say."""
        hired = self._crew.hired
        if not hired:
            return
        began = time.monotonic()
        etags = self._depot.looks()
        self.hear(
            {num: etag for num, etag in etags.items() if num in hired and hired[num].etag != etag}
        )
        self.until = began
        self.looks += 1

    def hear(self, news: dict[int, str]) -> None:
        """Hear machines; what goes wrong with one is raised once all have been heard.

        Parameters
        ----------
        news
            The packs, and by which etag it is known that they have been heard.
        """
        hired = self._crew.hired
        coming = {num: self._lookers.submit(hired[num].exchange.look, [num]) for num in news}
        problem: Exception | None = None
        for num, future in coming.items():
            known = hired[num]
            try:
                stands, ended = future.result()
            except TROUBLE as error:
                problem = error
                continue
            known.heard = time.monotonic()
            self._crew.ended.update(ended)
            if not known.exchange.problem:
                known.etag = news[num]
            elif not known.etag:
                known.etag = " "
            if num in stands and not stands[num].alive:
                code = stands[num].code
                self._crew.end(num, GONE_CODE if code is None else code)
        if problem is not None:
            raise problem
