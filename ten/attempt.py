"""Attempt: one life of a process that trains a run: the run's record compared, its folder held, its end recorded."""

import dataclasses
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from ten.data.cursor import Cursor
from ten.errors import DiskFull, SpecError
from ten.job import JobSpec, refuse_other_spec
from ten.preparation import Preparation
from ten.runs import keep_tokenizer, run_folder
from ten.store.durable import writing
from ten.text.pins import keep_corpus
from ten.train.beside import METRICS
from ten.train.checkpoint_files import complete
from ten.train.length import run_tokens
from ten.train.machine import this_machine
from ten.train.metrics import tokens_at
from ten.train.mirror import Mirror
from ten.train.ranks import number
from ten.train.recovery import recover
from ten.train.run_record import FINISHED, RunRecord, now, read_run, reason_of, write_run
from ten.train.spent import Bill
from ten.train.stopping import StopRequest
from ten.train.stored_run import StoredRun
from ten.units import format_count, parse_seconds

log = logging.getLogger(__name__)
SEEN_EVERY_S = 30.0
MOST_IN_VAIN = 3
_LENGTH = ("steps", "tokens", "epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What is settled before anything is built."""

    started: datetime
    folder: Path
    record: RunRecord
    micro_batches: int
    """Gradient accumulation of one rank."""
    step_tokens: int
    """Tokens of one optimizer step, all ranks together."""
    is_measured: bool
    """Whether the record says how long the run is; else `measured` must."""
    stored: StoredRun | None
    """The run in the store, where that is no folder."""
    changes: tuple[str, ...] = ()
    """Settings that the run goes on with other than before."""


def plan_attempt(job: Preparation, ranks: int) -> Attempt:
    """The run's folder and its record: made now, or read and compared with the job.

    Where the store is no folder, its newest checkpoint is brought here first, if it is newer than what is here.
    On another number of ranks the global batch keeps its size, unless the job asks for another or it does not divide.
    Raises SpecError naming the setting that would make it another run, or where nobody watches and the last attempts
    were in vain, and what `recover` raises.
    """
    started, folder = now(), run_folder(job.store, job.run_id, job.cache_dir)
    stored = None if job.store.root is not None else StoredRun(job.store, job.run_id)
    if stored is not None:
        with job.settling():
            stored.look()
        recover(stored, folder, job.spec.checkpoint, leads=number("LOCAL_RANK", 0) == 0)
    record = read_run(folder / "run.json")
    if record is not None and os.environ.get("TEN_UNATTENDED") and record.in_vain() >= MOST_IN_VAIN:
        raise SpecError(
            f"run {folder}: the last {record.in_vain()} attempts have made no step ({record.attempts[-1].reason}), and "
            "nobody is here to mend that (TEN_UNATTENDED is set): it is not tried again"
        )
    resolved, train = job.resolved_spec(), job.spec.train
    rows, micro_batches = train.micro_batch_rows * ranks, train.gradient_accumulation
    changes = () if record is None else tuple(refuse_other_spec(record.spec, resolved, f"run {folder}"))
    if record is not None:
        before = record.spec["train"]
        asked = any(before[name] != getattr(train, name) for name in ("micro_batch_rows", "gradient_accumulation"))
        if not asked and record.global_rows % rows == 0:
            micro_batches = record.global_rows // rows
    step_tokens = job.seq_len * rows * micro_batches
    is_measured = record is not None and all(record.spec["train"][name] == resolved["train"][name] for name in _LENGTH)
    record = record or RunRecord(run=job.run_id, created=now(), spec=resolved, total_tokens=0)
    return Attempt(
        started=started,
        folder=folder,
        record=msgspec.structs.replace(record, spec=resolved, global_rows=rows * micro_batches),
        micro_batches=micro_batches,
        step_tokens=step_tokens,
        is_measured=is_measured,
        stored=stored,
        changes=changes,
    )


def measured(attempt: Attempt, job: Preparation, epoch_tokens: Callable[[], int]) -> Attempt:
    """The attempt with its run's length in tokens settled; `epoch_tokens` is asked only if nothing else says it."""
    if attempt.is_measured:
        return attempt
    epoch = epoch_tokens() if job.counts_epochs else None
    total = run_tokens(job.spec.train, step_tokens=attempt.step_tokens, epoch_tokens=epoch)
    record = msgspec.structs.replace(attempt.record, total_tokens=total)
    return dataclasses.replace(attempt, record=record, is_measured=True)


def likely_cursor(attempt: Attempt, job: Preparation) -> Cursor:
    """Where reading will most likely begin: behind the newest checkpoint as it stands, unverified; a hint."""
    first = Cursor(fingerprint=job.recipe.fingerprint, seed=job.spec.data.seed, seq_len=job.seq_len)
    found = complete(attempt.folder / "checkpoints")
    if not found:
        return first
    try:
        state = msgspec.json.decode((found[-1] / "state.json").read_bytes(), type=_State)
    except (OSError, ValueError, RecursionError):  # whoever restores it says what is wrong
        return first
    return state.position.cursor or first


class _Position(msgspec.Struct):
    cursor: Cursor | None = None


class _State(msgspec.Struct):
    """What a checkpoint's state.json says of the data."""

    position: _Position


def bill(attempt: Attempt, spec: JobSpec) -> Bill:
    """What the attempt costs and what its limits leave, for the terminal."""
    limits = spec.limits
    return Bill(
        price_per_hour=spec.resources.price_per_hour,
        spent=attempt.record.cost,
        max_cost=limits.max_cost,
        max_seconds=None if limits.max_duration is None else parse_seconds(limits.max_duration),
        since=time.monotonic() - (now() - attempt.started).total_seconds(),
    )


@contextmanager
def mirrored(attempt: Attempt, spec: JobSpec, stop: StopRequest) -> Iterator[Mirror | None]:
    """What sends the run to its store, where that is no folder; it ends when the newest checkpoint is there."""
    if attempt.stored is None:
        yield None
        return
    keep_last, grace_s = spec.checkpoint.keep_last, parse_seconds(spec.limits.stop_grace)
    with Mirror(attempt.stored, attempt.folder, keep_last=keep_last, stop=stop, grace_s=grace_s) as mirror:
        yield mirror


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process alone; the kernel lets go of it however the process ends.

    Raises SpecError when another process trains the run.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SpecError(
            f"run {folder}: another process is training it; wait for its end, or start another run with --set run=NAME"
        ) from None
    except OSError as error:  # some network file systems have no locks
        log.warning("run %s: cannot be locked (%s); take care that only one process trains it", folder, error.strerror)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def recorded(
    attempt: Attempt, job: Preparation, device: str, ranks: int, from_step: int, stop: StopRequest | None = None
) -> Iterator[list[int]]:
    """Keep run.json, the tokenizer and a hub data set's listing.

    The attempt ends for a reason, at the step put into the list, also where it hangs and `stop` has it ended; until
    then run.json says when it was last seen.
    """
    path = attempt.folder / "run.json"
    metrics = attempt.folder / METRICS
    from_tokens, total = tokens_at(metrics, from_step), format_count(attempt.record.total_tokens)
    for change in attempt.changes:
        log.info("run %s goes on with %s", job.run_id, change)
    done = "" if from_tokens is None else f" ({format_count(from_tokens)} tokens)"
    log.info("run %s: from step %d%s to %s tokens", attempt.folder, from_step, done, total)
    keep_tokenizer(attempt.folder, job.tokenizer)
    keep_corpus(attempt.folder, job.corpus)
    record = attempt.record.begin(
        started=attempt.started,
        device=device,
        mode=job.spec.mode,
        world_size=ranks,
        from_step=from_step,
        price_per_hour=job.spec.resources.price_per_hour,
        machine=this_machine(),
        from_tokens=from_tokens,
    )
    write_run(path, record)
    reached, reason = [from_step], FINISHED

    def ended(why: str) -> RunRecord:
        return record.end(to_step=reached[-1], reason=why, to_tokens=tokens_at(metrics, reached[-1]))

    if stop is not None:
        stop.on_hang(lambda why: write_run(path, ended(why)))
    try:
        with _seen(path, record, metrics):
            yield reached
    except BaseException as error:
        reason = reason_of(error)
        raise
    finally:
        write_run(path, ended(reason))


@contextmanager
def _seen(path: Path, record: RunRecord, metrics: Path) -> Iterator[None]:
    """Write time and tokens into run.json now and then: what a killed attempt cost and did is known from it."""
    over = threading.Event()

    def write() -> None:
        while not over.wait(SEEN_EVERY_S):
            try:
                write_run(path, record.seen(to_tokens=tokens_at(metrics)))
            except DiskFull as error:
                log.warning("%s: not written: %s", path, error)

    thread = threading.Thread(target=write, name="seen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
