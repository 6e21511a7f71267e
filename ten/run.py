"""The composition root: a job → fill, loader, model, trainer; one function a verb.

torch is imported inside the functions that need it, after the packer process has started: data and imports overlap.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from ten.attempt import Attempt, bill, held, likely_cursor, measured, mirrored, plan_attempt, recorded
from ten.calls.patience import read_patience
from ten.disk import require_room
from ten.errors import SpecError
from ten.feeding import begin_packer, epoch_tokens, open_fill, open_held_out
from ten.job import JobSpec, refuse_other_spec
from ten.limits import budgeted, guarded, limited, watched
from ten.preparation import Preparation
from ten.sinks.followers import following
from ten.train.heartbeat import LEAST_S, Heartbeat
from ten.train.interval import Interval
from ten.train.ranks import number
from ten.train.stacks import keep_stacks
from ten.train.stopping import StopRequest
from ten.train.threads import calm_threads
from ten.units import parse_seconds

if TYPE_CHECKING:
    import torch

    from ten.data.cursor import Cursor
    from ten.data.fill import Fill
    from ten.data.loader import Loader
    from ten.model.lm import LanguageModel
    from ten.train.backward import Backward
    from ten.train.checkpoint import Checkpoints
    from ten.train.distributed import World
    from ten.train.mirror import Mirror
    from ten.train.optimizer import Optimizer
    from ten.train.training import Outcome, Training


def train(spec: JobSpec) -> "Outcome":
    """Train a job's run to its length, from its newest checkpoint on where there is one.

    Raises Resumable when stopped early with everything saved, and whatever the parts raise.
    """
    if spec.mode == "pack":
        raise SpecError("mode pack does not train; run `ten pack`, or train with --set mode=streaming")
    job, stop = Preparation(spec), StopRequest()
    with ExitStack() as stack:
        stack.enter_context(limited(spec, stop))
        leads = number("LOCAL_RANK", 0) == 0
        started = begin_packer(spec) if leads else None
        if started is not None:
            stack.callback(started.close)
        attempt = plan_attempt(job, number("WORLD_SIZE", 1))
        wants_epoch = job.counts_epochs and not attempt.is_measured
        if leads:
            require_room(job)
        mirror = None
        if number("RANK", 0) == 0:
            stack.enter_context(budgeted(spec, stop, spent=attempt.record.cost, since=attempt.started))
            stack.enter_context(held(attempt.folder))
            mirror = stack.enter_context(mirrored(attempt, spec, stop))
        parts = stack.enter_context(ExitStack())  # closed before the mirror waits for the store
        begin = likely_cursor(attempt, job)
        fill = open_fill(job, leads=leads, estimate=wants_epoch, begin=begin, started=started)
        parts.callback(fill.close)
        packer = started.stacks if started is not None else None
        return _train(job, attempt, fill, stop, mirror, packer, parts)


def _train(
    job: Preparation,
    attempt: Attempt,
    fill: "Fill",
    stop: StopRequest,
    mirror: "Mirror | None",
    packer: Callable[[], str] | None,
    stack: ExitStack,
) -> "Outcome":
    calm_threads(job.spec.train.threads)
    import torch

    from ten.model.lm import LanguageModel
    from ten.train.device import autocast, open_device, resolve_precision
    from ten.train.distributed import local_rank, open_world
    from ten.train.loop import train as train_loop
    from ten.train.optim import build_optimizer, narrow_weights
    from ten.train.schedule import open_schedule
    from ten.train.step import Stepper
    from ten.train.training import Training

    settings = job.spec.train
    device = open_device(settings.device, local_rank())
    world = stack.enter_context(open_world(device, timeout_s=_rank_patience_s(job.spec)))
    torch.manual_seed(settings.seed)
    model = LanguageModel(job.model, job.tokenizer.vocabulary, z_loss=settings.z_loss).to(device)
    narrow_weights(model, settings, model.no_decay_names())
    optimizer = build_optimizer(model, settings, model.no_decay_names())
    checkpoints = _open_checkpoints(job, attempt, model, optimizer, world, mirror)
    position = checkpoints.restore()
    world.share_parameters(model)
    attempt = _measured(attempt, job, fill, world)
    loader = stack.enter_context(closing(_open_loader(job, attempt, fill, position.cursor, world)))
    beat = Heartbeat(lambda: stop.polled_at)
    precision = resolve_precision(settings.precision, device, settings.weights)
    backward = _open_backward(job, attempt, precision, world)
    cast, clip = partial(autocast, precision, device), settings.clip_norm
    run = Training(
        stepper=Stepper(
            model=model, optimizer=optimizer, world=world, autocast=cast, clip_norm=clip, stop=stop, backward=backward
        ),
        schedule=open_schedule(settings, total_tokens=attempt.record.total_tokens, width=job.model.width),
        loader=loader,
        held_out=open_held_out(job, fill),
        checkpoints=checkpoints,
        metrics_path=attempt.folder / "metrics.jsonl",
        position=position,
        total_tokens=attempt.record.total_tokens,
        evaluate_every=Interval.parse(settings.evaluate_every),
        checkpoint_every=Interval.parse(job.spec.checkpoint.every),
        stop=stop,
        supply=fill.supply,
        beat=beat,
        data_patience_s=read_patience().total_s + LEAST_S,
    )
    if world.is_first:
        _keep_record(job, attempt, run, device, stop, mirror, stack)
    keep = partial(keep_stacks, attempt.folder, packer=packer)
    with stop.handling(), watched(job.spec, stop), guarded(beat, job.spec, stop, keep):
        return train_loop(run, bill(attempt, job.spec))


def _rank_patience_s(spec: JobSpec) -> float:
    """How long ranks wait for each other: while rank 0 waits for the store, the others wait for it."""
    return max(900.0, 2 * parse_seconds(spec.limits.stop_grace))


def _keep_record(
    job: Preparation,
    attempt: Attempt,
    run: "Training",
    device: "torch.device",
    stop: StopRequest,
    mirror: "Mirror | None",
    stack: ExitStack,
) -> None:
    """On rank 0, until `stack` is closed: run.json is kept, and sinks are told."""
    from ten.train.device import device_name

    begun = run.position.step
    if mirror is not None:
        stop.on_hang(mirror.last_words)
    reached = stack.enter_context(recorded(attempt, job, device_name(device), run.world.size, begun, stop))
    stack.callback(lambda: reached.append(run.position.step))
    stop.on_hang(lambda _: reached.append(run.position.step))
    stack.enter_context(following(job.spec.train.sinks, attempt.folder, begun))
    if mirror is not None:
        mirror.note()


def _open_checkpoints(
    job: Preparation,
    attempt: Attempt,
    model: "LanguageModel",
    optimizer: "Optimizer",
    world: "World",
    mirror: "Mirror | None",
) -> "Checkpoints":
    """Of this attempt's run, which must be one of the same spec."""
    from ten.train.checkpoint import Checkpoints

    spec = attempt.record.spec
    return Checkpoints(
        attempt.folder / "checkpoints",
        model=model,
        optimizer=optimizer,
        settings=job.spec.checkpoint,
        spec=spec,
        world=world,
        accept=lambda saved, where: refuse_other_spec(saved, spec, where),
        mirror=mirror,
    )


def _open_backward(
    job: Preparation, attempt: Attempt, precision: "Literal['fp32', 'bf16']", world: "World"
) -> "Backward":
    """At the level of memory that the job names, or that fits into this device."""
    from ten.train.levels import open_backward

    return open_backward(
        job.spec.train,
        job.model,
        job.tokenizer.vocabulary,
        seq_len=job.seq_len,
        micro_batches=attempt.micro_batches,
        precision=precision,
        world=world,
    )


def _agree(job: Preparation, world: "World") -> None:
    """Raise SpecError on every rank when some read other data than rank 0: each machine may have pinned its own."""
    import torch

    mine = int(job.recipe.fingerprint[:15], 16)
    others = torch.tensor([mine != world.from_first(mine)], dtype=torch.int64, device=world.device)
    if world.sum(others).item():
        corpus = job.corpus
        raise SpecError(
            f"rank {world.rank} reads {corpus.dataset} at {corpus.revision} (pack {job.recipe.pack_name}), and the "
            "ranks do not all read the same; give each machine the same files, or one commit with --revision"
        )


def _measured(attempt: Attempt, job: Preparation, fill: "Fill", world: "World") -> Attempt:
    """The attempt with rank 0's length of the run and batch: it finds them for all, which read the same data."""
    _agree(job, world)
    if world.is_first:
        attempt = measured(attempt, job, lambda: epoch_tokens(job, fill))
    total = world.from_first(attempt.record.total_tokens)
    record = msgspec.structs.replace(attempt.record, total_tokens=total)
    return replace(attempt, record=record, micro_batches=world.from_first(attempt.micro_batches))


def _open_loader(job: Preparation, attempt: Attempt, fill: "Fill", cursor: "Cursor | None", world: "World") -> "Loader":
    """The rows after the cursor, dealt out to this rank."""
    from ten.data.cursor import Cursor
    from ten.data.loader import BatchShape, Loader

    data = job.spec.data
    shape = BatchShape(
        micro_batch_rows=job.spec.train.micro_batch_rows,
        micro_batches=attempt.micro_batches,
        rank=world.rank,
        ranks=world.size,
        reset_carry=data.reset_carry,
    )
    first = Cursor(fingerprint=job.recipe.fingerprint, seed=data.seed, seq_len=job.seq_len)
    return Loader(job.recipe, fill, cursor or first, shape, pin=world.device.type == "cuda")
