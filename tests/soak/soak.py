"""A soak: run after run, over an object store and over a folder in turn, until so many faults have been survived."""

import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.disk import SmallDisk
from tests.soak.faults import faults
from tests.soak.place import Place
from tests.soak.supervisor import Supervisor
from tests.soak.workload import Workload
from tests.standins.s3 import S3Stand, without_stores

DISK_BYTES = 64 * 2**20


@dataclass
class Report:
    """What a soak came to."""

    seed: int
    happened: Counter[str] = field(default_factory=Counter)
    """Faults by kind."""
    ended: Counter[str] = field(default_factory=Counter)
    """Attempts by exit code."""
    runs: int = 0
    """Finished, and the same as the undisturbed one to the bit."""
    switches: int = 0
    """Attempts at training in another mode than the one before."""
    seconds: float = 0.0
    skipped: tuple[str, ...] = ()
    """What could not be tried on this machine, and why."""

    @property
    def faults(self) -> int:
        """All of them."""
        return self.happened.total()


def soak(
    folder: Path,
    stand: S3Stand,
    *,
    seed: int,
    count: int,
    a_run: int,
    steps: int,
    seconds: float = float("inf"),
    tell: Callable[[str], object] = lambda said: None,
) -> Report:
    """Survive `count` faults, `a_run` in each run of `steps` steps, or as many as happen in so many seconds.

    Everything lies below `folder`. Raises `supervisor.Finding` with what happened; the logs stay.
    """
    report, began = Report(seed), time.monotonic()
    workload = Workload(folder / "workload", steps)
    environment = without_stores(os.environ) | {"OMP_NUM_THREADS": "1", "TEN_ENV_FILE": os.devnull}
    wanted = workload.undisturbed(folder / "undisturbed", environment)
    with SmallDisk(folder / "disk", DISK_BYTES) as disk:
        if not disk.can_be_filled:
            report.skipped = ("fill disk: no file system of its own can be mounted here",)
        for number in itertools.count():
            left = count - report.faults
            if left <= 0 or time.monotonic() - began > seconds:
                break
            place = Place(disk, None if number % 2 else stand)
            generator = random.Random(f"{seed}/{number}")
            supervisor = Supervisor(
                place, workload, folder / "logs" / f"{number:03d}", random.Random(f"{seed}/{number}/modes"),
                happened=report.happened, ended=report.ended, tell=tell,
            )  # fmt: skip
            supervisor.finish(itertools.islice(faults(generator, place.kinds), min(a_run, left)), wanted)
            place.clear()
            report.runs += 1
            report.switches += supervisor.switches
            report.seconds = time.monotonic() - began
            tell(f"{report.faults} faults, {report.runs} runs the same, {report.seconds:.0f} s")
    return report
