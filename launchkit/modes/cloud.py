"""What the modes share that rent machines: a pack a machine, and a bucket in between."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from launchkit.cloud import depot, providers, purchase, startup, stores
from launchkit.cloud.boot import Boot
from launchkit.cloud.cloud_settings import CloudSettings
from launchkit.cloud.depot import Depot
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.machines import Machines
from launchkit.cloud.providers import Offer, Provider
from launchkit.cloud.purchase import Purchase
from launchkit.cloud.stores import Store
from launchkit.cloud.trouble import TROUBLE
from launchkit.doodad import archive
from launchkit.job import Attempt, Job, JobState, end
from launchkit.modes import baggage as baggage_room
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan, Stop
from launchkit.modes.carriers import Carriers
from launchkit.modes.cloud_left import END_S, UNSURE_S, end_left
from launchkit.modes.far import FarMode, check_places
from launchkit.outside import asks, packs
from launchkit.outside.containers import Container, docker_script
from launchkit.outside.landing import STAGING
from launchkit.outside.scripts import bare_script, run_script
from launchkit.sweep import Sweep, SweepError
from launchkit.task import Task

log = logging.getLogger(__name__)

CONFIRMED_S = 600.0
"""How long a yes holds that nothing has followed."""
CONFIRMED = "confirmed"
"""The file of a sweep that says that a person has said yes, for a supervisor to find."""
UNKNOWN = "0" * 64
"""What stands for a SHA-256 in a dry run."""
LIBRARIES = ("boto3", "botocore", "s3transfer", "google", "googleapiclient")
"""What tells each request where INFO is shown, as Hydra does."""
MARGIN_S = 30.0

S = TypeVar("S", bound=CloudSettings)


class CloudMode(FarMode[S]):
    """Runs jobs on rented machines, and leaves none of them running."""

    _carriers: Machines | None
    # Every machine fetches it, and it leaves here by a slow line.
    archive_level = archive.SMALL

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._provider: Provider | None = None
        self._store: Store | None = None
        self._offer: Offer | None = None

    @abstractmethod
    def make_provider(self) -> Provider:
        """Return who rents the machines out."""

    @abstractmethod
    def make_store(self) -> Store:
        """Return the bucket."""

    scheme: str
    """Of the bucket's address."""

    @property
    @abstractmethod
    def prefix(self) -> str:
        """The prefix in the bucket below which sweeps are."""

    @abstractmethod
    def startup(self, boot: Boot) -> str:
        """Return the script that a machine starts with."""

    @property
    def swap_mb(self) -> int:
        """Megabytes of swap space on a machine."""
        return int(getattr(self.settings, "swap_size", 0))

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return str(getattr(self.settings, self.settings.BUCKET))

    @property
    def margin_s(self) -> float:
        """How long it takes until a machine hears what is asked, and its last words are here."""
        return 2 * self.settings.sync_interval + MARGIN_S

    def describe(self, jobs: Sequence[Job]) -> list[str]:
        """Say how many machines there are."""
        settings = self.settings
        many = settings.machines_for(len(jobs))
        within = f"in docker {settings.image}" if settings.image else "on its own Python"
        return [
            f"{many} rented machine{'s' * (many != 1)} ({getattr(settings, 'instance_type', '')}), "
            f"up to {settings.num_exps_per_instance} jobs each, {within}",
            f"bucket: {self.scheme}://{self.bucket}/{self.prefix}",
        ]

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Say what goes along, and what the machines start with."""
        check_places(sweep, jobs)
        plan = super().plan(sweep, jobs, task)
        # Of the archive, that is known only once it has been made.
        packed = f"{self.prefix}/{depot.ARCHIVES}/{UNKNOWN}.dar"
        batch = f"{self.prefix}/{sweep.id}/{depot.HOME}/batches/000000.tar.gz"
        boot = replace(self._boot(sweep), archive=packed, sha256=UNKNOWN, batch=batch)
        script = self.startup(boot)
        shown = [f"start-up script ({len(script.encode())} bytes):"]
        shown += [f"  | {line}" for line in script.splitlines()]
        return replace(plan, details=(*plan.details, *shown))

    def scripts(self, baggage: Baggage, sweep: Sweep, roots: Sequence[Path]) -> dict[str, str]:
        """Return the scripts that start Python there, in a container or not."""
        settings = self.settings
        where = f"image {settings.image!r}" if settings.image else "the machine"
        first = bare_script()
        if settings.image:
            container = Container(
                image=settings.image,
                mounts=baggage.mounts(),
                workdir=baggage.workdir(),
                env=(asks.ON_SIGNAL,),
                args=(*(("--gpus", "all") if settings.use_gpu else ()), *settings.container_args),
                around=bool(roots),
            )
            first = docker_script(container, f"launchkit-{sweep.id}")
        run = run_script(settings.python, settings.env, settings.setup_commands, where)
        return {"final_script.sh": first, "run.sh": run}

    def programs(self) -> dict[str, Path]:
        """Return the agent."""
        return startup.agent_files()

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """Ask the provider and the bucket everything that costs nothing, and then a person."""
        settings = self.settings
        sweep = plan.sweep
        provider, store = self._open()
        try:
            store.check(self.prefix)
            self._offer = provider.check(settings.machines_for(len(plan.jobs)))
        except (stores.StoreError, providers.ProviderError) as error:
            raise ValueError(str(error)) from error
        if settings.price_per_hour is not None:
            self._offer = replace(
                self._offer,
                price_per_hour=settings.price_per_hour,
                price_source="price_per_hour",
            )
        spent = Ledger(sweep).cost()
        wanted = Purchase.of(len(plan.jobs), settings, self._offer, spent)
        wanted.check()
        lines = [*wanted.lines(), f"bucket: {store.url}/{self.prefix}"]
        if not settings.confirm:
            for line in lines:
                log.info("%s", line)
        elif not _is_confirmed(sweep):
            purchase.ask(lines, self.name)
            if sweep.own.is_dir():
                # What is resumed and detached is not prepared again.
                (sweep.own / CONFIRMED).touch(0o600)

    def prepare(self, plan: Plan) -> None:
        """Make the archive, and note for a supervisor that a person has said yes."""
        super().prepare(plan)
        (plan.sweep.own / CONFIRMED).touch(0o600)

    def submit(self, plan: Plan) -> None:
        """Put jobs into packs, a machine each."""
        self.sweep = sweep = plan.sweep
        (sweep.own / CONFIRMED).unlink(missing_ok=True)
        if self._carriers is None:
            self._carriers = self._begin(sweep)
        jobs = [job for job in plan.jobs if not self.is_in_the_way(job)]
        if not jobs:
            return
        size = self.settings.num_exps_per_instance
        groups = [jobs[at : at + size] for at in range(0, len(jobs), size)]
        nums = [[job.num for job in group] for group in groups]
        made = packs.add(sweep, nums, self.settings.pack_places(), tells=True)
        self._look_after(jobs, made)
        self._carriers.hand_over(jobs)
        self._carriers.add(made)

    def carriers(self, sweep: Sweep) -> Carriers:
        """Return the machines."""
        return self._begin(sweep)

    def close(self, sweep: Sweep) -> None:
        """See all machines gone, and leave in the bucket how all has ended."""
        hired, self._carriers = self._carriers, None
        if hired is not None:
            try:
                left = hired.finish(sweep.jobs, END_S, UNSURE_S)
            except (*TROUBLE, providers.ProviderError) as error:
                log.warning("%s; whether machines are left: `launchkit reap`", error)
            else:
                for machine in left:
                    log.warning("%s is %s yet", machine.id, machine.standing.value)
            if hired.many:
                known = self._offer is not None and self._offer.price_per_hour is not None
                cost = f", at most {purchase.usd(hired.cost())}" if known else ""
                log.info("machines: %d%s", hired.many, cost)
            self._kill_at.clear()
        shutil.rmtree(sweep.own / STAGING, ignore_errors=True)
        super().close(sweep)

    def end_left(self, sweep: Sweep) -> None:
        """End the machines that a killed launcher has left, and bring home what they wrote."""
        ledger = Ledger(sweep)
        if ledger.has_left:
            try:
                provider, store = self._open()
                end_left(sweep, provider, Depot(store, self.prefix, sweep), ledger)
            except (*TROUBLE, providers.ProviderError) as error:
                raise SweepError(
                    f"{sweep.directory}: its machines may still run, and cannot be ended now: "
                    f"{error}; `launchkit cancel` and resume try again, `launchkit reap` lists them"
                ) from error
        shutil.rmtree(sweep.own / STAGING, ignore_errors=True)
        super().end_left(sweep)

    def _death(self, pack: int, code: int) -> Stop:
        assert self._carriers is not None
        fate = self._carriers.fates.pop(pack, None)
        known = super()._death(pack, code)
        refused = known.error is not None and known.error.type != "CarrierEnded"
        if fate is not None or refused:
            self._keep_log(pack)
        return known if fate is None or refused else Stop(fate.state, fate.error)

    def _settle(self, num: int, code: int, died: Stop | None) -> Attempt:
        job, pack, stop = self._jobs[num], self._pack_of[num], self._stops.get(num)
        attempt = super()._settle(num, code, died)
        if attempt.state is JobState.PREEMPTED and self._carriers is not None:
            over = self._carriers.lifetime_error(pack)
            if stop is None and over is not None:
                stop = Stop(JobState.TIMEOUT, over)
            if stop is not None:
                # It was asked to stop as if the provider wanted the machine back.
                with contextlib.suppress(OSError):
                    return end(job, stop.state, exit_code=attempt.exit_code, error=stop.error)
        return attempt

    def _keep_log(self, pack: int) -> None:
        """Keep what a machine has said of itself, on which something went wrong."""
        assert self._carriers is not None
        assert self.sweep is not None
        with contextlib.suppress(*TROUBLE):
            text = self._carriers.log(pack)
            if text:
                with self.new_log(self.sweep, pack).open("a", encoding="utf-8") as stream:
                    stream.write(text)

    def has_ended(self, num: int, state: JobState) -> bool:
        """Tell that only the machine says when a job has ended."""
        return False

    def _open(self) -> tuple[Provider, Store]:
        if self._provider is None or self._store is None:
            for library in map(logging.getLogger, LIBRARIES):
                if library.level == logging.NOTSET:
                    library.setLevel(logging.WARNING)
            try:
                self._store, self._provider = self.make_store(), self.make_provider()
            except (stores.StoreError, providers.ProviderError) as error:
                raise ValueError(str(error)) from error
        return self._provider, self._store

    def _begin(self, sweep: Sweep) -> Machines:
        baggage_room.see_packed(sweep)
        provider, store = self._open()
        return Machines(
            sweep,
            provider,
            Depot(store, self.prefix, sweep),
            self.settings,
            self._boot(sweep),
            sweep.own / baggage_room.FILE,
            None if self._offer is None else self._offer.price_per_hour,
        )

    def _boot(self, sweep: Sweep) -> Boot:
        settings = self.settings
        return Boot(
            store=f"{self.scheme}://{self.bucket}",
            region=getattr(self._store, "region", None) or "",
            base=f"{self.prefix}/{sweep.id}",
            name=sweep.directory.name,
            archive="",
            sha256="",
            batch="",
            first_pack=0,
            image=settings.image,
            uses_gpu=settings.use_gpu,
            lifetime_min=settings.max_lifetime_min,
            sync_interval_s=settings.sync_interval,
            unreachable_min=settings.unreachable_min,
            swap_mb=self.swap_mb,
        )


def _is_confirmed(sweep: Sweep) -> bool:
    """Tell whether a person has just said yes, to whoever has left the sweep to this process."""
    try:
        return time.time() - (sweep.own / CONFIRMED).stat().st_mtime < CONFIRMED_S
    except FileNotFoundError:
        return False
