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
    root = disk_of(job)
    free = free_bytes(root)
    if free < wanted and free + own_bytes(job) < wanted:
        raise DiskFull(
            f"{root}: {format_bytes(free)} free, and resources.disk_free wants {format_bytes(wanted)}; make room, name "
            "another folder with --store or --cache-dir, or ask for less"
        )


def disk_of(job: Preparation) -> Path:
    """The folder on whose disk packs and runs lie."""
    return job.store.root or job.cache_dir


def free_bytes(folder: Path) -> int:
    """What is free on the disk of a folder that need not be there yet."""
    return shutil.disk_usage(_nearest_folder(folder)).free


def own_bytes(job: Preparation) -> int:
    """What the job's run and pack already take there; a pack whose tokenizer is still to be trained takes nothing."""
    folders = [run_folder(job.store, job.run_id, job.cache_dir)]
    if not job.must_train_tokenizer:
        folders.append(job.open_cache().folder)
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def _nearest_folder(path: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())
