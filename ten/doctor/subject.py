"""Subject: the job and the machine under examination, and what earlier checks have learnt of them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ten.calls.patience import read_patience
from ten.doctor.gpus import Gpus, look_at_gpus
from ten.doctor.whereabouts import Whereabouts, find_whereabouts
from ten.job import JobSpec
from ten.plan import Plan, make_plan
from ten.preparation import Preparation
from ten.runs import run_folder
from ten.store.opening import open_store
from ten.store.protocol import Store

_PATIENCE_S = 30.0
"""How long a service may take to answer: a person waits."""


@dataclass
class Subject:
    """A job on a machine."""

    spec: JobSpec
    store_failed: bool = False
    """Whether the round trip to the store did."""
    upload_bytes_per_s: float | None = None
    """As the round trip had it; None before it, and where it failed."""
    store_clock_ahead_s: float | None = None
    """How far the store's clock is ahead of this machine's, likewise."""

    @property
    def patience_s(self) -> float:
        """Seconds that a service may go on without progress. Raises SpecError for a TEN_PATIENCE that is none."""
        return min(_PATIENCE_S, read_patience().total_s)

    @cached_property
    def where(self) -> Whereabouts:
        """Where this is."""
        return find_whereabouts()

    @cached_property
    def job(self) -> Preparation:
        """What the job comes to here."""
        return Preparation(self.spec)

    @cached_property
    def store(self) -> Store:
        """The job's store, less patient than a run is."""
        return open_store(self.spec.store, self.patience_s)

    @cached_property
    def plan(self) -> Plan:
        """The job in numbers; raises what counting them raises."""
        return make_plan(self.job)

    @cached_property
    def gpus(self) -> Gpus | None:
        """The NVIDIA GPUs here."""
        return look_at_gpus()

    @property
    def checkpoint_bytes(self) -> int:
        """Of one checkpoint: the weights and the optimizer's state."""
        return self.plan.checkpoint_bytes // (self.spec.checkpoint.keep_last + 1)

    @property
    def run_folder(self) -> Path:
        """Where the run keeps its checkpoints on this machine."""
        return run_folder(self.job.store, self.job.run_id, self.job.cache_dir)
