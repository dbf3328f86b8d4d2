"""The settings of each mode, and of the callback, as Hydra composes them."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional  # noqa: UP035 - OmegaConf reads these

from omegaconf import MISSING

LAUNCHER = "hydra_plugins.launchkit_launcher.launcher.LaunchkitLauncher"


@dataclass
class SweepConf:
    """What the settings of every mode begin with."""

    existing: str = "refuse"
    """Where the directory holds a sweep already: ``refuse``, or ``set_aside`` (rename it)."""

    dry_run: bool = False
    """Print what would run, where and how, and run nothing."""

    detach: bool = False
    """Leave the jobs to a supervisor that outlives the launcher and its terminal."""

    resume: bool = False
    """Take up the sweep in ``hydra.sweep.dir``: run what has not completed of it."""

    force: bool = False
    """With ``resume``: run jobs that are not what they were as they are now, completed ones too."""

    max_retries: int = 0
    """How many more attempts a job gets that ends in one of the states of ``retry_on``."""

    retry_on: List[str] = field(  # noqa: UP006
        default_factory=lambda: ["lost", "preempted", "timeout", "failed"]
    )
    """Which states are tried again: lost, preempted, timeout, failed."""

    retry_delay_s: float = 1.0
    """Seconds before the first retry of a job; twice as long before each further one."""

    timeout_min: Optional[float] = None  # noqa: UP045
    """Minutes after which a job is ended; null for no limit. It may differ by job."""

    fail_fast: bool = False
    """Stop the sweep at the first job that fails for good."""

    max_failures: Optional[int] = None  # noqa: UP045
    """Stop the sweep when more jobs than this have failed for good; null for never."""


@dataclass
class HereNoDoodadConf(SweepConf):
    """One job after the other, in the launcher's own process."""

    _target_: str = LAUNCHER
    mode: str = "here_no_doodad"


@dataclass
class SlotsConf(SweepConf):
    """How jobs share a machine."""

    n_jobs: Optional[int] = None  # noqa: UP045
    """How many jobs run at a time; null for as many as the GPUs given out, or the cores, allow."""

    gpus: Any = None
    """The GPUs to give out: a list such as [0,1], ``auto`` for all, null to leave them alone."""

    jobs_per_gpu: int = 1
    """How many jobs share a GPU."""

    gpus_per_job: Optional[int] = None  # noqa: UP045
    """How many GPUs a job gets; null for one, where they are given out. It may differ by job."""

    cpus_per_job: Optional[int] = None  # noqa: UP045
    """How many threads a job's numerical libraries may use; null for any. It may differ by job."""


@dataclass
class LocalConf(SlotsConf):
    """Each job in a process of its own on this machine."""

    _target_: str = LAUNCHER
    mode: str = "local"

    start_method: str = "auto"
    """``fork`` (shares all that is imported), ``spawn`` (a new interpreter), or ``auto``."""


@dataclass
class OutsideConf(SweepConf):
    """What goes along with jobs that leave the launcher's Python, and what they find there."""

    image: Optional[str] = None  # noqa: UP045
    """The container image. Where a mode can do without, null is the host's own Python."""

    python: Optional[str] = None  # noqa: UP045
    """The Python there; null for the first that is found of the launcher's version."""

    code_dirs: Optional[List[str]] = None  # noqa: UP006, UP045
    """Directories of code that go along; null for the program's repository, or its directory."""

    code_exclude: List[str] = field(default_factory=list)  # noqa: UP006
    """What is left out of them, beside what git ignores: patterns of names or paths."""

    code_warn_mb: float = 100.0
    """Megabytes of code from which on that is said."""

    code_max_mb: float = 1000.0
    """Megabytes of code from which on it is refused."""

    inputs: Dict[str, str] = field(default_factory=dict)  # noqa: UP006
    """Directories that jobs read, and where the container sees each: {/data/mnist: /mnist}."""

    env: Dict[str, Optional[str]] = field(default_factory=dict)  # noqa: UP006, UP045
    """Environment variables of the jobs; null passes on the launcher's own, and stores nothing."""

    setup_commands: List[str] = field(default_factory=list)  # noqa: UP006
    """Lines of shell that are run before Python is: ``module load cuda``."""

    container_args: List[str] = field(default_factory=list)  # noqa: UP006
    """More arguments for the program that starts the container: ``--network=none``."""


@dataclass
class LocalDockerConf(OutsideConf, SlotsConf):
    """Each job in a Docker container of its own on this machine."""

    _target_: str = LAUNCHER
    mode: str = "local_docker"

    jobs_per_container: int = 1
    """How many jobs run in a container, one after the other: for many short ones."""


@dataclass
class LocalSingularityConf(OutsideConf, SlotsConf):
    """Each job in a Singularity or Apptainer container of its own on this machine."""

    _target_: str = LAUNCHER
    mode: str = "local_singularity"

    jobs_per_container: int = 1
    """How many jobs run in a container, one after the other: for many short ones."""


@dataclass
class SshConf(OutsideConf, SlotsConf):
    """Jobs on another machine, with its slots and GPUs; what they write comes home."""

    _target_: str = LAUNCHER
    mode: str = "ssh"

    host: str = ""
    """The host, or its alias in your ssh config, with ``user@`` in front of it or not."""

    ssh_config: Optional[str] = None  # noqa: UP045
    """The file of settings for ssh; null for your own."""

    ssh_args: List[str] = field(default_factory=list)  # noqa: UP006
    """More arguments of ``ssh``."""

    remote_dir: str = ".cache/launchkit"
    """Where sweeps are on the host while they run; a relative path is below the home directory."""

    container: str = "docker"
    """What runs ``image`` there, where one is set: ``docker`` or ``singularity``."""

    fetch_interval_s: float = 5.0
    """The longest time between two looks at what there is to bring home, in seconds."""

    keep_remote: bool = False
    """Whether what is on the host stays there when the sweep has ended."""


@dataclass
class SlurmConf(OutsideConf):
    """What is asked of Slurm for each task of the array, and how jobs share a task."""

    account: Optional[str] = None  # noqa: UP045
    """The account that is charged; null for the user's own."""

    partition: Optional[str] = None  # noqa: UP045
    """The partition; null for the cluster's default."""

    qos: Optional[str] = None  # noqa: UP045
    """The quality of service; null for the account's own."""

    constraint: Optional[str] = None  # noqa: UP045
    """The features that nodes must have, as ``sbatch`` takes them."""

    time_in_mins: Optional[int] = None  # noqa: UP045
    """The time limit of a task, in minutes; null for the partition's."""

    nodes: Optional[int] = None  # noqa: UP045
    """How many nodes a task has, the first of which runs its jobs; null to leave it to Slurm."""

    gpus: Any = None
    """The GPUs of a task: a number, or a kind and a number such as ``a100:2``; null for none."""

    cpus_per_task: Optional[int] = None  # noqa: UP045
    """The cores of a task; null for what its jobs need by the other settings."""

    mem: Optional[str] = None  # noqa: UP045
    """The memory of a task, such as ``8G``; null for the partition's default."""

    sbatch_args: List[str] = field(default_factory=list)  # noqa: UP006
    """More flags of ``sbatch``, each with its value: ``--exclude=node7``."""

    jobs_per_task: int = 1
    """How many jobs are packed into one task: for many short ones."""

    n_jobs: Optional[int] = None  # noqa: UP045
    """How many of these run at a time; null for as many as the task's GPUs, or cores, allow."""

    cpus_per_job: Optional[int] = None  # noqa: UP045
    """How many threads a job's numerical libraries may use; null for any. It may differ by job."""

    gpus_per_job: Optional[int] = None  # noqa: UP045
    """How many of its task's GPUs a job gets; null for one, where jobs share a task."""

    jobs_per_gpu: int = 1
    """How many jobs share a GPU."""

    array_parallelism: Optional[int] = None  # noqa: UP045
    """How many tasks run at a time; null for as many as Slurm lets."""

    requeue: bool = True
    """Whether a task that was preempted, or lost its node, goes back into the queue."""

    signal_s: int = 60
    """Seconds before the time limit at which jobs are asked to stop and go on later; 0: never."""

    max_requeues: int = 10
    """How often a task goes on after its time limit."""


@dataclass
class SlurmSingularityConf(SlurmConf):
    """Packs of jobs as the tasks of a Slurm array, in containers or on the nodes' own Python."""

    _target_: str = LAUNCHER
    mode: str = "slurm_singularity"


@dataclass
class SssConf(SlurmConf):
    """A folder to carry to a cluster: one script there submits all jobs to Slurm."""

    _target_: str = LAUNCHER
    mode: str = "sss"


@dataclass
class CloudConf(OutsideConf):
    """What is rented, for how long, and for how much at most; a pack of jobs a machine."""

    num_exps_per_instance: int = 1
    """How many jobs a machine gets."""

    jobs_at_once: Optional[int] = None  # noqa: UP045
    """How many of them run there at a time; null for all of them."""

    sync_interval: float = 15.0
    """Seconds between two uploads of what the jobs have written."""

    use_gpu: bool = False
    """Whether the jobs use the machines' GPUs."""

    confirm: bool = True
    """Whether a person is asked before anything is bought; without a terminal, that is a no."""

    price_per_hour: Optional[float] = None  # noqa: UP045
    """What a machine costs an hour, in USD, where you know better than the provider says."""

    max_price_per_hour: Optional[float] = None  # noqa: UP045
    """The most that all machines together may cost an hour, in USD; null for no limit."""

    max_total_price: Optional[float] = None  # noqa: UP045
    """The most that the sweep may cost, in USD, every machine for its longest life; null: any."""

    max_lifetime_min: int = 1440
    """Minutes after which a machine ends, whatever runs on it."""

    max_machines: Optional[int] = None  # noqa: UP045
    """How many machines there are at a time; null for as many as the jobs need."""

    capacity_wait_min: float = 60.0
    """Minutes to wait for machines where the provider has none to give."""

    unreachable_min: float = 30.0
    """Minutes without its bucket after which a machine ends itself."""

    start_timeout_min: float = 15.0
    """Minutes within which a machine has to give a first sign of life."""

    keep_bucket: bool = True
    """Whether the sweep stays in the bucket when it has ended."""

    instance_type: str = MISSING
    """The type of machine."""

    zone: Any = None
    """The zone, or a list of zones that are tried in order; null for any, where that can be."""

    disk_size: Optional[int] = None  # noqa: UP045
    """Gigabytes of a machine's disk; null for 64, or more where the machine image takes more."""

    swap_size: int = 0
    """Megabytes of swap space on a machine."""


@dataclass
class Ec2Conf(CloudConf):
    """Jobs on machines of EC2, on demand or spot, with a bucket of S3 in between."""

    _target_: str = LAUNCHER
    mode: str = "ec2"

    instance_type: str = "c7i.large"
    """The type of machine."""

    swap_size: int = 4096
    """Megabytes of swap space on a machine."""

    region: Optional[str] = None  # noqa: UP045
    """The region; null for the one that AWS's own settings name."""

    spot_price: Optional[float] = None  # noqa: UP045
    """The most that a spot machine may cost an hour, in USD; null to rent on demand."""

    s3_bucket: Optional[str] = None  # noqa: UP045
    """The bucket; it must be set."""

    s3_log_path: str = "launchkit"
    """The prefix in the bucket below which sweeps are."""

    ami_name: Optional[str] = None  # noqa: UP045
    """The machine image: an id, a public parameter, or a name (the newest); null: Amazon's own."""

    iam_instance_profile_name: str = "launchkit"
    """The profile with the role of the machines."""

    aws_key_name: Optional[str] = None  # noqa: UP045
    """A key pair for logging in to the machines; null for no such thing."""

    security_group_ids: List[str] = field(default_factory=list)  # noqa: UP006
    """The machines' security groups; empty for the network's default one."""

    subnet_id: Optional[str] = None  # noqa: UP045
    """The subnet of the machines; null for the default one."""


@dataclass
class GcpConf(CloudConf):
    """Jobs on machines of Google's Compute Engine, with a bucket of Cloud Storage in between."""

    _target_: str = LAUNCHER
    mode: str = "gcp"

    instance_type: str = "e2-standard-2"
    """The type of machine."""

    disk_size: Optional[int] = 64  # noqa: UP045
    """Gigabytes of a machine's disk."""

    gcp_project: Optional[str] = None  # noqa: UP045
    """The project; it must be set."""

    gcp_bucket: Optional[str] = None  # noqa: UP045
    """The bucket; it must be set."""

    gcp_log_path: str = "launchkit"
    """The prefix in the bucket below which sweeps are."""

    preemptible: bool = False
    """Whether the machines are Spot machines, which are cheaper and may be taken back."""

    gcp_image: Optional[str] = None  # noqa: UP045
    """The machine image, or a family of which the newest is taken; null for Google's current."""

    gcp_image_project: Optional[str] = None  # noqa: UP045
    """The project of that image."""

    gpu_model: Optional[str] = None  # noqa: UP045
    """The model of GPU; null for machines whose type includes them, or without."""

    num_gpu: int = 1
    """How many GPUs of that model a machine gets."""

    service_account: Optional[str] = None  # noqa: UP045
    """The account whose role the machines have; null for launchkit's own in the project."""

    subnet: Optional[str] = None  # noqa: UP045
    """The subnet of the machines; null for the default one."""

    gcp_kwargs: Dict[str, Any] = field(default_factory=dict)  # noqa: UP006
    """More fields of an instance, as the compute API names them."""


@dataclass
class CallbackConf:
    """The logger of each job."""

    _target_: str = "launchkit.callback.LaunchkitCallback"

    snapshot_mode: str = "last"
    """What `save_itr_params` keeps: all, last, gap, gap_and_last or none."""

    snapshot_gap: int = 1
    """With ``gap`` and ``gap_and_last``: keep the iterations it divides."""

    print_table: bool = True
    """Whether each dumped row is also printed, as a table, and put in debug.log."""

    log_tabular_only: bool = False
    """Whether the terminal shows dumped rows only; ``debug.log`` gets all the same."""


NODES = {
    ("hydra/launcher", "launchkit_here_no_doodad"): HereNoDoodadConf,
    ("hydra/launcher", "launchkit_local"): LocalConf,
    ("hydra/launcher", "launchkit_local_docker"): LocalDockerConf,
    ("hydra/launcher", "launchkit_local_singularity"): LocalSingularityConf,
    ("hydra/launcher", "launchkit_ssh"): SshConf,
    ("hydra/launcher", "launchkit_slurm_singularity"): SlurmSingularityConf,
    ("hydra/launcher", "launchkit_sss"): SssConf,
    ("hydra/launcher", "launchkit_ec2"): Ec2Conf,
    ("hydra/launcher", "launchkit_gcp"): GcpConf,
    ("hydra/callbacks", "launchkit"): {"launchkit": CallbackConf},
}
"""What each config is made of, by its group and name."""
