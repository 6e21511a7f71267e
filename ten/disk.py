"""Disk: the room that a job wants before it begins (`resources.disk_free`)."""

import shutil
from pathlib import Path

from ten.errors import DiskFull
from ten.preparation import Preparation
from ten.runs import run_folder
from ten.units import format_bytes, parse_bytes


def require_room(job: Preparation) -> None:
    """Raise DiskFull where there is less room than wanted; what the job already has there counts as room."""
    if job.spec.resources.disk_free is None:
        return
    wanted = parse_bytes(job.spec.resources.disk_free)
    root = job.store.root or job.cache_dir
    free = shutil.disk_usage(_nearest_folder(root)).free
    if free < wanted and free + _own_bytes(job) < wanted:
        raise DiskFull(
            f"{root}: {format_bytes(free)} free, and resources.disk_free wants {format_bytes(wanted)}; make room, name "
            "another folder with --store or --cache-dir, or ask for less"
        )


def _own_bytes(job: Preparation) -> int:
    folders = run_folder(job.store, job.run_id, job.cache_dir), job.open_cache().folder
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def _nearest_folder(path: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())
