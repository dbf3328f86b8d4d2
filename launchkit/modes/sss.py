"""``sss``: the sweep's folder as something to carry to a cluster and submit there with Slurm."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from launchkit import files
from launchkit.doodad.slurm_mode import write_script
from launchkit.job import JobState, change
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan
from launchkit.modes.carriers import Carriers
from launchkit.modes.slurm_packs import SlurmPacksMode, name_of
from launchkit.outside import slurm_script, sss_script
from launchkit.outside.containers import Container, Mount
from launchkit.outside.scripts import LOGS, UNPACKED
from launchkit.outside.singularity_script import is_remote
from launchkit.outside.slurm_arrays import arrays
from launchkit.sweep import Sweep, SweepError


class ScriptMode(SlurmPacksMode):
    """Writes a script that submits the jobs to Slurm, wherever the folder is carried."""

    name = "sss"
    hands_over = True

    def array_script(self, sweep: Sweep) -> str:
        """Return what each task runs: it is started in the folder, wherever that is."""
        return slurm_script.array_script(None, {}, self.settings.max_requeues)

    def script_path(self, sweep: Sweep) -> str:
        """Return the path of the array's script below the folder."""
        return f".launchkit/{slurm_script.FILE}"

    def container(self, baggage: Baggage, roots: Sequence[Path]) -> Container:
        """Return what the containers are like: the image and the inputs are on the cluster."""
        settings = self.settings
        inputs = (Mount(source, point) for source, point in settings.inputs.items())
        return Container(
            image=settings.image_name,
            mounts=(*baggage.mounts(), *inputs),
            workdir=baggage.workdir(),
            env=tuple(name for name, value in settings.env.items() if value is None),
            args=tuple(settings.container_args),
            gpus=settings.gives_gpus,
        )

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """See to it that all that the jobs use can go along."""
        image = self.settings.image
        if image is not None and not is_remote(image) and not PurePosixPath(image).is_absolute():
            raise ValueError(f"image is {image!r}; give the whole path that it has on the cluster")
        for source in self.settings.inputs:
            if not PurePosixPath(source).is_absolute():
                raise ValueError(
                    f"inputs has {source!r}; give the whole path that it has on the cluster"
                )
        for job in plan.jobs:
            if not job.directory.is_relative_to(plan.sweep.directory):
                raise ValueError(
                    f"mode 'sss' carries one folder, {plan.sweep.directory}, and job {job.num} "
                    f"writes beside it, to {job.directory}; use mode slurm_singularity on the "
                    "cluster, or Hydra's multirun"
                )

    def deliver(self, sweep: Sweep) -> None:
        """Leave the archive in the folder; what was unpacked of an older one goes."""
        shutil.rmtree(sweep.own / UNPACKED, ignore_errors=True)
        shutil.rmtree(sweep.own / LOGS, ignore_errors=True)

    def submit(self, plan: Plan) -> None:
        """Write what submits the jobs, and leave them to whoever does."""
        sweep, settings = plan.sweep, self.settings
        if not plan.jobs:
            return
        try:
            self.deliver(sweep)
            made = self.make_packs(sweep, plan.jobs)
            write_script(sweep.own / slurm_script.FILE, self.array_script(sweep))
            submissions = [
                self.arguments(sweep, array)
                for array in arrays(made, self.max_array_size, settings.array_parallelism)
            ]
            script = sss_script.submit_script(submissions)
            files.write_atomic(sweep.directory / sss_script.SUBMIT, script, mode=0o777)
            page = sss_script.readme(
                sweep.directory, len(plan.jobs), settings.image, name_of(sweep)
            )
            files.write_atomic(sweep.directory / sss_script.README, page)
            (sweep.directory / sss_script.SUBMITTED).unlink(missing_ok=True)
            for job in plan.jobs:
                change(job, JobState.SUBMITTED)
        except OSError as error:
            reason = error.strerror or error
            raise SweepError(f"cannot write below {sweep.directory}: {reason}") from error

    def farewell(self, sweep: Sweep) -> str:
        """Return what a person is to do with the folder."""
        page = sweep.directory / sss_script.README
        return f"the folder {sweep.directory} is ready to be carried to a cluster\n  see {page}"

    def carriers(self, sweep: Sweep) -> Carriers:
        """Carry nothing from here."""
        raise NotImplementedError("its jobs are carried by whoever carries the folder")
