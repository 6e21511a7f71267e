"""GPUs: what NVIDIA's own program says of those that are here."""

import os
from collections.abc import Mapping

import msgspec

from ten.doctor.whereabouts import ask

_FIELDS = "name,driver_version,memory.total,memory.free"


class Gpus(msgspec.Struct, frozen=True, kw_only=True):
    """The cards of this machine."""

    names: tuple[str, ...]
    driver: str
    memory_bytes: int
    """Of the smallest."""
    free_bytes: int
    """Of the fullest."""

    @property
    def driver_major(self) -> int | None:
        """580 of 580.95.05."""
        major = self.driver.partition(".")[0]
        return int(major) if major.isdigit() else None


def look_at_gpus(environment: Mapping[str, str] = os.environ) -> Gpus | None:
    """The GPUs that nvidia-smi lists; None where no driver answers, or CUDA_VISIBLE_DEVICES hides them all."""
    if environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    return read_gpus(ask("nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits") or "")


def read_gpus(said: str) -> Gpus | None:
    """The GPUs in lines of `name, driver, total MiB, free MiB`; lines of another form are none."""
    rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines()]
    rows = [row for row in rows if len(row) == 4 and row[2].isdigit() and row[3].isdigit()]
    if not rows:
        return None
    return Gpus(
        names=tuple(row[0] for row in rows),
        driver=rows[0][1],
        memory_bytes=min(int(row[2]) for row in rows) * 2**20,
        free_bytes=min(int(row[3]) for row in rows) * 2**20,
    )
