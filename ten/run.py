"""The composition root: a job → fill, loader, model, trainer; one function a verb.

torch is imported inside the functions that need it, after the packer process has started: data and imports overlap.
"""

import logging
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ten.errors import SpecError, TenError
from ten.feeding import open_fill, open_held_out
from ten.job import JobSpec, refuse_other_spec
from ten.preparation import Preparation
from ten.runs import keep_tokenizer
from ten.train.interval import Interval
from ten.train.run_record import RunRecord, now, read_run, write_run
from ten.train.stopping import StopRequest
from ten.units import format_count, parse_seconds

if TYPE_CHECKING:
    import torch

    from ten.data.cursor import Cursor
    from ten.data.fill import Fill
    from ten.data.loader import Loader
    from ten.train.distributed import World
    from ten.train.training import Outcome, Training

log = logging.getLogger(__name__)
_LENGTH = ("steps", "tokens", "epochs")


def train(spec: JobSpec) -> "Outcome":
    """Train a job's run to its length, from its newest checkpoint on where there is one.

    Raises Resumable when stopped early with everything saved, and whatever the parts raise.
    """
    if spec.mode == "pack":
        raise SpecError("mode pack does not train; run `ten pack`, or train with --set mode=streaming")
    job = Preparation(spec)
    ranks, leads = int(os.environ.get("WORLD_SIZE") or 1), os.environ.get("LOCAL_RANK", "0") == "0"
    folder = run_folder(job)
    record = _open_record(job, folder, ranks)
    with ExitStack() as stack:
        fill = open_fill(job, leads=leads)
        stack.callback(fill.close)
        if leads:
            keep_tokenizer(folder, job.tokenizer)
        return _train(job, record, folder, fill, stack)


def run_folder(job: Preparation) -> Path:
    """Where a run keeps its record, metrics and checkpoints."""
    folder = job.store.local_path(f"runs/{job.run_id}")
    if folder is None:
        raise SpecError(f"store {job.spec.store}: runs need a folder; name one with --set store=DIR")
    return folder


def _train(job: Preparation, record: RunRecord, folder: Path, fill: "Fill", stack: ExitStack) -> "Outcome":
    # torch's threads spin while they wait for each other: where another process has a core, a step takes forty times
    # as long. Asleep they cost a few percent. Read once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from ten.model.lm import LanguageModel
    from ten.train.checkpoint import Checkpoints
    from ten.train.device import autocast, open_device, resolve_precision
    from ten.train.distributed import local_rank, open_world
    from ten.train.loop import train as train_loop
    from ten.train.optim import build_optimizer
    from ten.train.schedule import open_schedule
    from ten.train.step import Stepper
    from ten.train.training import Training

    settings = job.spec.train
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = open_device(settings.device, local_rank())
    world = stack.enter_context(open_world(device))
    torch.manual_seed(settings.seed)
    model = LanguageModel(job.model, job.tokenizer.vocabulary).to(device)
    optimizer = build_optimizer(model, settings, model.no_decay_names())
    checkpoints = Checkpoints(
        folder / "checkpoints",
        model=model,
        optimizer=optimizer,
        settings=job.spec.checkpoint,
        spec=job.resolved_spec(),
        world=world,
    )
    position = checkpoints.restore()
    world.share_parameters(model)
    loader = _open_loader(job, record, fill, position.cursor, world)
    stack.callback(loader.close)
    stop = StopRequest()
    run = Training(
        stepper=Stepper(
            model=model,
            optimizer=optimizer,
            world=world,
            autocast=partial(autocast, resolve_precision(settings.precision, device), device),
            clip_norm=settings.clip_norm,
            stop=stop,
        ),
        schedule=open_schedule(settings, total_tokens=record.total_tokens, width=job.model.width),
        loader=loader,
        held_out=open_held_out(job, fill),
        checkpoints=checkpoints,
        metrics_path=folder / "metrics.jsonl",
        position=position,
        total_tokens=record.total_tokens,
        evaluate_every=Interval.parse(settings.evaluate_every),
        checkpoint_every=Interval.parse(job.spec.checkpoint.every),
        stop=stop,
    )
    attempt = record.begin(device=_name(device), mode=job.spec.mode, world_size=world.size, from_step=position.step)
    with _recorded(run, attempt, folder), _limited(job.spec, stop), stop.handling():
        return train_loop(run)


def _open_record(job: Preparation, folder: Path, ranks: int) -> RunRecord:
    """The run's record: made now, or read and compared with the job."""
    resolved = job.resolved_spec()
    record = read_run(folder / "run.json")
    step_tokens = job.seq_len * job.spec.train.micro_batch_rows * _micro_batches(job, record, ranks) * ranks
    if record is None:
        total = job.total_tokens(step_tokens)
        log.info("run %s: %s tokens", folder, format_count(total))
        return RunRecord(run=job.run_id, created=now(), spec=resolved, total_tokens=total)
    for change in refuse_other_spec(record.spec, resolved, f"run {folder}"):
        log.info("run %s goes on with %s", job.run_id, change)
    if any(record.spec["train"][field] != resolved["train"][field] for field in _LENGTH):
        return msgspec.structs.replace(record, spec=resolved, total_tokens=job.total_tokens(step_tokens))
    return record


def _micro_batches(job: Preparation, record: RunRecord | None, ranks: int) -> int:
    """Gradient accumulation of one rank: on another number of ranks than before the global batch keeps its size."""
    train = job.spec.train
    if record is None or not record.attempts:
        return train.gradient_accumulation
    before, first = record.spec["train"], record.attempts[0].world_size
    unasked = all(before[name] == getattr(train, name) for name in ("micro_batch_rows", "gradient_accumulation"))
    if unasked and (train.gradient_accumulation * first) % ranks == 0:
        return train.gradient_accumulation * first // ranks
    return train.gradient_accumulation


def _open_loader(
    job: Preparation, record: RunRecord, fill: "Fill", cursor: "Cursor | None", world: "World"
) -> "Loader":
    """The rows after the cursor, dealt out to this rank."""
    from ten.data.cursor import Cursor
    from ten.data.loader import BatchShape, Loader

    data = job.spec.data
    shape = BatchShape(
        micro_batch_rows=job.spec.train.micro_batch_rows,
        micro_batches=_micro_batches(job, record, world.size),
        rank=world.rank,
        ranks=world.size,
        reset_carry=data.reset_carry,
    )
    first = Cursor(fingerprint=job.recipe.fingerprint, seed=data.seed, seq_len=job.seq_len)
    return Loader(job.recipe, fill, cursor or first, shape, pin=world.device.type == "cuda")


@contextmanager
def _recorded(run: "Training", attempt: RunRecord, folder: Path) -> Iterator[None]:
    """Keep run.json: the attempt begins, and ends for a reason."""
    if not run.world.is_first:
        yield
        return
    write_run(folder / "run.json", attempt)
    reason = "finished"
    try:
        yield
    except BaseException as error:
        reason = str(error) if isinstance(error, TenError) else repr(error)
        raise
    finally:
        write_run(folder / "run.json", attempt.end(to_step=run.position.step, reason=reason))


@contextmanager
def _limited(spec: JobSpec, stop: StopRequest) -> Iterator[None]:
    """Request a stop when the attempt reaches limits.max_duration."""
    if spec.limits.max_duration is None:
        yield
        return
    timer = threading.Timer(
        parse_seconds(spec.limits.max_duration), stop.request, [f"limits.max_duration={spec.limits.max_duration}"]
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
