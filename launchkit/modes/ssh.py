"""``ssh``: jobs on another machine, reached with the user's own ssh, so many at a time."""

from __future__ import annotations

import hashlib
import logging
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launchkit.job import Job
from launchkit.modes import baggage as baggage_room
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan, known_state
from launchkit.modes.carriers import Carriers
from launchkit.modes.far import FarMode, check_places
from launchkit.outside import asks, packs, ssh, ssh_host, trace
from launchkit.outside.asks import Ask
from launchkit.outside.containers import docker_script
from launchkit.outside.host_exchange import HostExchange
from launchkit.outside.hosts import Hosts
from launchkit.outside.landing import STAGING
from launchkit.outside.remote import NOT_THERE_CODE, Remote
from launchkit.outside.scripts import bare_script, run_script
from launchkit.outside.singularity_script import singularity_script
from launchkit.outside.ssh import CommandFailed, Connection
from launchkit.outside.ssh_route import ConnectionLost
from launchkit.outside.ssh_settings import SshSettings
from launchkit.outside.trace import Trace
from launchkit.outside.transfer import Transfer
from launchkit.sweep import Sweep, SweepError
from launchkit.task import Task

log = logging.getLogger(__name__)

CLOSE_S = 60.0
"""How long a sweep that has ended waits for a host that cannot be reached."""


class SshMode(FarMode[SshSettings]):
    """Runs jobs on another machine, so many at a time, and brings what they write home."""

    name = "ssh"
    Settings = SshSettings
    _carriers: Hosts | None

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._connection = Connection(self.settings.route)
        self._rsync = False

    @classmethod
    def lacking(cls) -> list[str]:
        """Say whether ssh or doodad is lacking."""
        return [*ssh.lacking(), *super().lacking()]

    def describe(self, jobs: Sequence[Job]) -> list[str]:
        """Say where the jobs run."""
        return [self.settings.describe()]

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Say what goes along, and how the jobs are started there."""
        check_places(sweep, jobs)
        plan = super().plan(sweep, jobs, task)
        script = Remote(self._base(sweep, "MARK"), sweep.directory.name).start(0, sweep.id)
        words = ["ssh", *self.settings.route.options(), "--", self.settings.host, "sh"]
        shown = [f"{shlex.join(words)}, with:", *(f"  | {line}" for line in script.splitlines())]
        return replace(plan, details=(*plan.details, *shown))

    def scripts(self, baggage: Baggage, sweep: Sweep, roots: Sequence[Path]) -> dict[str, str]:
        """Return the scripts that start Python there, in a container or not."""
        settings = self.settings
        where = f"image {settings.image!r}" if settings.image else settings.host
        first = bare_script()
        if settings.image:
            container = replace(
                ssh_host.container(settings),
                mounts=baggage.mounts(),
                workdir=baggage.workdir(),
                around=bool(roots),
            )
            first = (
                docker_script(container, f"launchkit-{sweep.id}")
                if settings.uses_docker
                else singularity_script(container)
            )
        run = run_script(settings.python, settings.env, settings.setup_commands, where)
        return {"final_script.sh": first, "run.sh": run}

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """See to it that the host lets us in, and has what the jobs need."""
        found = ssh_host.look_around(self._connection, self.settings)
        size = sum(code.size for code in baggage.code) if baggage is not None else 0
        ssh_host.check(found, self.settings, plan.jobs, size)
        self._rsync = "rsync" in found.programs and shutil.which("rsync") is not None

    def submit(self, plan: Plan) -> None:
        """Hand the jobs to the host, or to a new one where there is none."""
        self.sweep = sweep = plan.sweep
        if self._carriers is None:
            self._carriers = self._begin(sweep)
        jobs = [job for job in plan.jobs if not self.is_in_the_way(job)]
        if not jobs:
            return
        nums = [job.num for job in jobs]
        self._jobs.update((job.num, job) for job in jobs)
        self._carriers.hand_over(jobs)
        current = [*self._carriers.running, *self._carriers.waiting]
        if current:
            asks.ask(sweep, current[-1], Ask(run=tuple(nums)))
            pack = current[-1]
        else:
            made = packs.add(sweep, [nums], self.settings.pack_places(), stays=True, tells=True)
            self._carriers.add(made)
            pack = made[0].num
        self._left.setdefault(pack, []).extend(nums)
        self._pack_of.update(dict.fromkeys(nums, pack))

    def carriers(self, sweep: Sweep) -> Carriers:
        """Return the host of the jobs there."""
        return self._begin(sweep)

    def close(self, sweep: Sweep) -> None:
        """Bring the rest home, and remove what is on the host."""
        hosts, self._carriers = self._carriers, None
        if hosts is not None:
            if hosts.finish(CLOSE_S, keep=self.settings.keep_remote):
                trace.forget(sweep)
            else:
                log.warning(
                    "what the sweep has on %s is still there, with what runs; "
                    "`launchkit resume %s` ends that",
                    self.settings.host,
                    sweep.directory,
                )
            self._kill_at.clear()
        self._connection.close()
        super().close(sweep)

    def end_left(self, sweep: Sweep) -> None:
        """End what a killed launcher has left on a host, and bring home what it wrote."""
        known = trace.read(sweep)
        if known is not None:
            try:
                _end(sweep, known)
            except (ConnectionLost, CommandFailed, OSError) as error:
                raise SweepError(
                    f"{sweep.directory}: its jobs may still run on {known.host!r}, and cannot be "
                    f"ended there now: {error}; `launchkit cancel` and resume try again"
                ) from error
        super().end_left(sweep)

    def _begin(self, sweep: Sweep) -> Hosts:
        baggage_room.see_packed(sweep)
        settings = self.settings
        mark = hashlib.sha256(sweep.tag.encode()).hexdigest()[:8]
        remote = Remote(self._base(sweep, mark), sweep.directory.name)
        Trace(
            host=settings.host,
            config=settings.route.config,
            args=settings.route.args,
            base=remote.base,
            name=remote.name,
            folder=str(self._connection.folder),
            rsync=self._rsync,
            containers=settings.uses_docker,
            keep=settings.keep_remote,
        ).write(sweep)
        return Hosts(
            sweep,
            self._connection,
            remote,
            _exchange(sweep, self._connection, remote, rsync=self._rsync),
            archive=baggage_room.FILE,
            interval_s=settings.fetch_interval_s,
            containers=settings.uses_docker,
        )

    def _base(self, sweep: Sweep, mark: str) -> str:
        return f"{self.settings.directory}/{sweep.id}-{mark}"


def _exchange(sweep: Sweep, connection: Connection, remote: Remote, *, rsync: bool) -> HostExchange:
    home = sweep.directory.parent
    transfer = Transfer(connection, remote, home, sweep.own / STAGING, rsync=rsync)
    return HostExchange(sweep, connection, remote, transfer)


def _end(sweep: Sweep, known: Trace) -> None:
    """End what is left on a host, bring home what is not here, and remove it there."""
    connection = Connection(known.route)
    try:
        exchange = _exchange(sweep, connection, known.remote, rsync=known.rsync)
        exchange.adopt([job for job in sweep.jobs if not known_state(job).state.final])
        exchange.kill(containers=known.containers)
        exchange.look(())
        exchange.remove(there=not known.keep)
    except CommandFailed as error:
        if error.code != NOT_THERE_CODE:
            raise
    finally:
        connection.close()
    shutil.rmtree(known.folder, ignore_errors=True)
    trace.forget(sweep)
