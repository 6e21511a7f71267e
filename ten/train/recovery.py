"""Recovery: a run's newest checkpoint, and what lies beside it, brought from its store into a folder."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ten.errors import DataError, MissingInput, SpecError
from ten.store.durable import PART, write_atomically, writing
from ten.train.beside import FETCHED
from ten.train.checkpoint_files import FileSeal, adopt, complete, fetching, find_newest, is_sound, retain, step_of
from ten.train.run_record import decode_run, read_run
from ten.train.settings import CheckpointSettings
from ten.train.stored_run import RECORD, Advance, StoredRun
from ten.train.traffic import Traffic

log = logging.getLogger(__name__)


def recover(run: StoredRun, folder: Path, settings: CheckpointSettings, *, leads: bool = True) -> None:
    """Make `folder` hold the newest checkpoint and record that it has or `run.look` saw in the store.

    For any number of processes at once: one fetches, the others wait for it. The one that `leads` its machine looks
    whether the newest checkpoint here is sound; where it is not, the store's counts. Raises SpecError (resume=never and
    the store has a checkpoint, or what is here is of another run of that name), DataError (all are damaged), DiskFull,
    and what the store raises.
    """
    checkpoints = folder / "checkpoints"
    with alone(checkpoints):
        _keep_newer_record(run, folder)
        if run.newest is None:
            return
        if settings.resume == "never":
            raise SpecError(
                f"{run.checkpoint(run.newest)} is there and checkpoint.resume is never; name another run with "
                "--set run=NAME"
            )
        here = _newest_step(checkpoints, sound=leads)
        if run.newest > here and (found := _fetch_newest(run, checkpoints, here)) is not None:
            retain(checkpoints, settings.keep_last, found)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there, while others wait; the kernel lets go of it however the process ends."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            _lock(descriptor, folder)
        except OSError as error:  # some network file systems have no locks
            log.warning("%s: cannot be locked (%s); take care that one process uses it", folder, error.strerror)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("%s: waiting for another process, which fetches into it", folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _keep_newer_record(run: StoredRun, folder: Path) -> None:
    if run.record is None:
        return
    path = folder / RECORD
    theirs, mine = decode_run(run.record, run.address(RECORD)), read_run(path)
    if mine is not None and mine.created != theirs.created and complete(folder / "checkpoints"):
        raise SpecError(
            f"{folder}: holds checkpoints of another run of that name, begun {mine.created} and not {theirs.created} "
            f"as {run.address(RECORD)}; move that folder away to go on with the store's run, or start another one with "
            "--set run=NAME"
        )
    if mine is None or mine.is_older_than(theirs):
        write_atomically(path, run.record)


def _newest_step(checkpoints: Path, *, sound: bool) -> int:
    """Of what is here; -1 for nothing."""
    try:
        newest = find_newest(checkpoints) if sound else next(reversed(complete(checkpoints)), None)
    except DataError as error:
        log.error("%s", error)
        return -1
    return -1 if newest is None else step_of(newest)


def _fetch_newest(run: StoredRun, checkpoints: Path, here: int) -> Path | None:
    """The newest sound checkpoint beyond the step that is here; None where those are all damaged."""
    damaged = []
    while (step := run.newest) is not None and step > here:
        try:
            return _fetch(run, step, checkpoints)
        except (DataError, MissingInput) as error:
            if isinstance(error, MissingInput) and _is_retired(run, step):
                continue
            log.error("checkpoint %s is damaged and is not used: %s", run.checkpoint(step), error)
            run.distrust(step)
            damaged.append(run.checkpoint(step))
    if damaged and here < 0:
        raise DataError(
            f"every checkpoint in the store is damaged ({', '.join(damaged)}); put a good one there, or delete them to "
            "begin the run again"
        )
    return None


def _is_retired(run: StoredRun, step: int) -> bool:
    """Whether a checkpoint was deleted meanwhile, as the process does that trains the run; looks for its successors."""
    run.look()
    return step not in run.complete()


def _fetch(run: StoredRun, step: int, checkpoints: Path) -> Path:
    """A checkpoint that appears when all of it is here and right; a killed fetch is gone on with."""
    seal, gathered = run.seal(step), fetching(checkpoints, step)
    log.info("fetching %s", run.checkpoint(step))
    traffic = Traffic(f"fetching {gathered.name.lstrip('.')}", sum(file.bytes for file in seal.files.values()))
    with traffic.shown() as redraw:

        def advance(count: int) -> None:
            traffic.advance(count)
            redraw()

        for name, file in seal.files.items():
            if is_sound(gathered / name, file):
                advance(file.bytes)
            else:
                _fetch_file(run, step, gathered / name, file, advance)
    # Before the checkpoint appears: from then on this folder counts as newer than what is in the store.
    for name in FETCHED:
        if (data := run.read(name)) is not None:
            write_atomically(checkpoints.parent / name, data)
    return adopt(gathered, seal)


def _fetch_file(run: StoredRun, step: int, path: Path, file: FileSeal, advance: Advance) -> None:
    """One file; once more where what a killed fetch left may have been of another content."""
    was_begun = path.with_name(f"{path.name}{PART}").exists()
    try:
        run.fetch(step, path.name, path, file, advance)
    except DataError:
        if not was_begun:
            raise
        run.fetch(step, path.name, path, file, advance)
