"""Trainer: the parts of training that need torch, put together for one attempt: model, optimizer, loader, loop's state.

torch is imported inside the functions, after the packer process has started: data and imports overlap.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import msgspec

from ten.attempt import Attempt, measured
from ten.calls.patience import read_patience
from ten.errors import SpecError
from ten.feeding import epoch_tokens, open_held_out
from ten.job import refuse_other_spec
from ten.preparation import Preparation
from ten.train.heartbeat import LEAST_S, SAVE_S, Heartbeat
from ten.train.interval import Interval
from ten.train.stopping import StopRequest
from ten.units import parse_seconds

if TYPE_CHECKING:
    from ten.data.cursor import Cursor
    from ten.data.fill import Fill
    from ten.data.loader import Loader
    from ten.model.lm import LanguageModel
    from ten.train.backward import Backward
    from ten.train.checkpoint import Checkpoints
    from ten.train.distributed import World
    from ten.train.mending import Mend
    from ten.train.mirror import Mirror
    from ten.train.optimizer import Optimizer
    from ten.train.settings import TrainSettings
    from ten.train.spikes import SpikeHistory, Spikes
    from ten.train.step import Stepper
    from ten.train.training import Training


def open_training(
    job: Preparation,
    attempt: Attempt,
    fill: "Fill",
    *,
    stop: StopRequest,
    beat: Heartbeat,
    mirror: "Mirror | None",
    stack: ExitStack,
) -> "tuple[Training, Attempt]":
    """Training from the run's newest checkpoint on, and the attempt with its length settled; `stack` closes the parts.

    Raises SpecError where ranks read other data or the checkpoint is of another spec, and what the parts raise.
    """
    import torch

    from ten.train.compilation import open_compilation
    from ten.train.device import open_device, resolve_precision
    from ten.train.distributed import local_rank, open_world
    from ten.train.samples import open_sampler
    from ten.train.schedule import open_schedule
    from ten.train.training import Training

    settings = job.spec.train
    device = open_device(settings.device, local_rank())
    world = stack.enter_context(open_world(device, timeout_s=_rank_patience_s(job)))
    torch.manual_seed(settings.seed)
    model, optimizer, world = _open_model(job, world)
    checkpoints = _open_checkpoints(job, attempt, model, optimizer, world, mirror)
    position = checkpoints.restore()
    optimizer.prepare()
    attempt = _measured(attempt, job, fill, world)
    loader = stack.enter_context(closing(_open_loader(job, attempt, fill, position.cursor, world)))
    backward = _open_backward(job, attempt, resolve_precision(settings.precision, device, settings.weights), world)
    compilation = open_compilation(
        settings, model, world, backward, seq_len=job.seq_len, cache_dir=job.cache_dir, store=job.spec.store
    )
    stack.enter_context(compilation or nullcontext())
    spikes, mend = _open_spikes(settings, position.spikes, checkpoints, world)
    training = Training(
        stepper=_open_stepper(job, model, optimizer, world, backward, stop, spikes),
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
        peak_tokens_per_s=_peak_tokens_per_s(job, world),
        compilation=compilation,
        sampler=open_sampler(settings, attempt.folder, position.step, model, job.tokenizer, world),
        mend=mend,
    )
    return training, attempt


def _rank_patience_s(job: Preparation) -> float:
    """How long ranks wait for each other: while rank 0 saves or waits for the store, the others wait for it."""
    return max(2 * SAVE_S, 2 * parse_seconds(job.spec.limits.stop_grace))


def _open_model(job: Preparation, world: "World") -> "tuple[LanguageModel, Optimizer, World]":
    """A new model where it trains, its optimizer, and the world as it trains there."""
    from ten.model.lm import LanguageModel
    from ten.train.optim import build_optimizer, narrow_weights
    from ten.train.sharding import open_model

    settings = job.spec.train
    model = LanguageModel(job.model, job.tokenizer.vocabulary, z_loss=settings.z_loss)
    spared = model.no_decay_names()
    narrow_weights(model, settings, spared)
    world = open_model(model, settings.shard, world)
    return model, build_optimizer(model, settings, spared), world


def _open_stepper(
    job: Preparation,
    model: "LanguageModel",
    optimizer: "Optimizer",
    world: "World",
    backward: "Backward",
    stop: Callable[[], bool],
    spikes: "Spikes | None",
) -> "Stepper":
    from ten.train.device import autocast_of
    from ten.train.step import Stepper

    settings = job.spec.train
    return Stepper(
        model=model,
        optimizer=optimizer,
        world=world,
        autocast=autocast_of(settings, world.device),
        clip_norm=settings.clip_norm,
        stop=stop,
        backward=backward,
        spikes=spikes,
    )


def _open_spikes(
    settings: "TrainSettings", history: "SpikeHistory", checkpoints: "Checkpoints", world: "World"
) -> "tuple[Spikes | None, Mend]":
    from ten.train.mending import Mending, mend_nothing
    from ten.train.spikes import Spikes

    if settings.spikes == "ignore":
        return None, mend_nothing
    spikes, rolls_back = Spikes(history), settings.spikes == "rollback"
    return spikes, Mending(spikes, checkpoints, rolls_back=rolls_back, tells=world.is_first)


def _peak_tokens_per_s(job: Preparation, world: "World") -> float | None:
    from ten.train.device import device_name, resolve_precision
    from ten.train.utilization import peak_tokens_per_s

    settings = job.spec.train
    precision = resolve_precision(settings.precision, world.device, settings.weights)
    card = device_name(world.device)
    return peak_tokens_per_s(job.model, job.tokenizer.vocabulary, card=card, precision=precision, ranks=world.size)


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
    job: Preparation, attempt: Attempt, precision: Literal["fp32", "bf16"], world: "World"
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
