"""Room checks: the disk beside the plan, shared memory, and one checkpoint's time beside the grace of a stop."""

import math
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from ten.disk import disk_of, free_bytes, own_bytes
from ten.doctor.finding import Verdict, fail, ok, skipped, warn
from ten.doctor.probes import trial_folder
from ten.doctor.subject import Subject
from ten.train.checkpoint_files import publish
from ten.units import format_bytes, format_seconds, parse_bytes, parse_seconds

LARGEST_SAMPLE = 256 * 2**20
"""Of a checkpoint: enough to outrun a disk's cache of writes on most machines, and written in seconds on any."""
SHARED_MEMORY = Path("/dev/shm")
_BLOCK = 2**20


def check_disk(subject: Subject) -> Verdict:
    """Whether what the job keeps fits beside what it has there already."""
    job, wanted = subject.job, subject.plan.kept_bytes
    if job.spec.resources.disk_free is not None:
        wanted = max(wanted, parse_bytes(job.spec.resources.disk_free))
    root = disk_of(job)
    free = free_bytes(root)
    if free < wanted and free + own_bytes(job) < wanted:
        return fail(
            f"{root}: {format_bytes(free)} free, {format_bytes(wanted)} wanted",
            "make room, name another folder with --store or --cache-dir, or lower checkpoint.keep_last",
        )
    return ok(f"{root}: {format_bytes(free)} free, {format_bytes(wanted)} wanted at most")


def check_shared_memory(subject: Subject, path: Path = SHARED_MEMORY) -> Verdict:
    """Whether /dev/shm is as large as the job says, where several GPUs talk through it."""
    resources = subject.spec.resources
    count = resources.gpu[1] if resources.gpu else len(subject.gpus.names) if subject.gpus else 0
    if count < 2:
        return skipped("fewer than two GPUs")
    if subject.where.kind == "host":
        return skipped("the container gets its own: SHM_SIZE of docker/run.sh, resources.shm_size of `ten render`")
    there, wanted = os.statvfs(path), parse_bytes(resources.shm_size)
    size = there.f_frsize * there.f_blocks
    told = f"{path}: {format_bytes(size)}, {format_bytes(wanted)} wanted for {count} GPUs"
    return ok(told) if size >= wanted else fail(told, "start the container with --shm-size, or with --ipc=host")


def check_checkpoint(subject: Subject, largest: int = LARGEST_SAMPLE) -> Verdict:
    """Whether one checkpoint is written and sent within `limits.stop_grace`, by the speed that a sample of it has."""
    if subject.spec.mode == "pack":
        return skipped("a pack has no checkpoints")
    full = subject.checkpoint_bytes
    sample = min(full, largest)
    with trial_folder(subject.run_folder) as folder:
        begun = time.perf_counter()
        publish(folder, 1, {"sample": lambda: _noise(sample)}, expected_bytes=sample)
        writing_s = (time.perf_counter() - begun) * full / sample
    sending_s = 0.0
    if subject.job.place.is_remote:
        if subject.upload_bytes_per_s is None:
            return skipped("how fast the store takes it is not known: its round trip failed")
        sending_s = full / subject.upload_bytes_per_s
    return judge_checkpoint(full, writing_s, sending_s, subject.spec.limits.stop_grace)


def judge_checkpoint(full: int, writing_s: float, sending_s: float, stop_grace: str) -> Verdict:
    """A checkpoint's time beside the grace: more fails, more than half of it is a warning."""
    told = f"{format_bytes(full)}: {format_seconds(writing_s)} to write"
    if sending_s:
        told += f", {format_seconds(sending_s)} to send"
    told += f", of limits.stop_grace={stop_grace}"
    grace_s, needed_s = parse_seconds(stop_grace), writing_s + sending_s
    cure = f"set limits.stop_grace={math.ceil(3 * needed_s / 60)}m, or use a faster disk or a nearer store"
    if needed_s > grace_s:
        return fail(told, cure)
    return warn(told, cure) if needed_s > grace_s / 2 else ok(told)


def _noise(size: int) -> Iterator[bytes]:
    """Bytes that no disk makes smaller."""
    while size > 0:
        yield secrets.token_bytes(min(size, _BLOCK))
        size -= _BLOCK
