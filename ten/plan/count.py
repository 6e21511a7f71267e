"""What a job will take, counted before anything is made."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from ten.data.manifest import Manifest
from ten.errors import DataError
from ten.hub.usual_splits import TRAIN
from ten.job import LimitSettings
from ten.model.cost import flops_per_token, parameters, state_bytes
from ten.model.memory_table import LevelMemory
from ten.preparation import Preparation
from ten.quote.estimate import Quote, Work, quote
from ten.quote.footprint import Footprint
from ten.quote.machines import Machine, machines
from ten.quote.utilization import measured_by_runs, measured_here, state, utilization
from ten.quote.volume import Source, volume
from ten.text.download import is_fetched_whole
from ten.text.tokens import trained_vocabulary
from ten.text.units import text_bytes
from ten.train.checkpoint_size import checkpoint_bytes
from ten.train.length import run_tokens
from ten.units import parse_bytes

UNTRAINED_BYTES_PER_TOKEN = 3.5
"""Bytes of text per token assumed where the tokenizer is still to be trained."""
WORTH_REPEATING = 4
"""Epochs up to which repeated text is nearly as good as new (Muennighoff et al. 2023, arXiv 2305.16264)."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A job in numbers; a token is a target trained on."""

    run: str
    mode: str
    dataset: str
    revision: str
    """Of a hub dataset its commit."""
    repository: str | None
    """Of a hub dataset, as are the next two."""
    hub_config: str | None
    split: str | None
    text_column: str | None
    files: int
    corpus_bytes: int
    raw_bytes: int
    """Of the raw files of a hub dataset that stay in cache_dir."""
    tokenizer: str
    vocabulary: int
    fingerprint: str | None
    """Of the pack; unknown while the tokenizer is still to be trained."""
    packed: bool
    """Whether the pack is finished."""
    epoch_tokens: int
    tokens: int
    steps: int
    epochs: float
    config: str
    parameters: int
    seq_len: int
    step_tokens: int
    flops_per_token: int
    flops: float
    state_bytes: int
    """Carry of one sequence while generating, whatever its length."""
    memory: tuple[LevelMemory, ...]
    """Of a GPU, by level of train.memory."""
    pack_bytes: int
    checkpoint_bytes: int
    """Of all checkpoints kept at a time, and one being written."""
    download_bytes: int
    """That come here over the network at most: of the hub's files, or of a pack in an object store."""
    packing_bytes: int
    """Of shards that are made: of the whole dataset, or of what streaming reads of it."""
    kept_bytes: int
    """On this disk at most: shards, raw files, checkpoints."""
    limits: LimitSettings
    quotes: tuple[Quote, ...]
    """Hours and dollars on each machine in question; none for a job that only packs."""
    notes: tuple[str, ...]


def make_plan(job: Preparation, mfu: float | None = None, on: Sequence[Machine] | None = None) -> Plan:
    """Count a job's parameters, tokens, operations, bytes, steps, hours and dollars; nothing is written.

    `mfu` is a utilization that is stated (SpecError for one that cannot be), `on` the machines if not those it names.
    """
    train, model = job.spec.train, job.model
    notes: list[str] = []
    text = _text(job, notes)
    vocabulary, epoch, manifest = text.vocabulary, text.epoch_tokens, text.manifest
    step_tokens = job.seq_len * train.micro_batch_rows * train.gradient_accumulation
    wanted = run_tokens(train, step_tokens=step_tokens, epoch_tokens=epoch)
    steps = -(-wanted // step_tokens)
    count = parameters(model, vocabulary)
    asked = job.corpus.asked
    keeps_files = is_fetched_whole(job.corpus, keep=job.spec.data.keep_files or job.spec.mode == "full")
    raw = job.corpus.bytes if keeps_files and manifest is None else 0
    shards = manifest.bytes if manifest else epoch * (2 if vocabulary <= 2**16 else 4)
    checkpoints = checkpoint_bytes(model, vocabulary, train) * (job.spec.checkpoint.keep_last + 1)
    tokens, source = steps * step_tokens, _source(job, raw, shards, manifest is not None)
    moved = volume(source, tokens=tokens, epoch_tokens=epoch, checkpoint_bytes=checkpoints)
    work = _work(job, vocabulary, tokens, step_tokens)
    return Plan(
        run=job.run_id,
        mode=job.spec.mode,
        dataset=job.corpus.dataset,
        revision=job.corpus.revision,
        repository=asked.repo if asked else None,
        hub_config=job.corpus.config,
        split=(asked.split or TRAIN) if asked else None,
        text_column=job.corpus.text_column,
        files=len(job.corpus.files),
        corpus_bytes=job.corpus.bytes,
        raw_bytes=raw,
        tokenizer=job.tokenizer_name,
        vocabulary=vocabulary,
        fingerprint=text.fingerprint,
        packed=manifest is not None,
        epoch_tokens=epoch,
        tokens=tokens,
        steps=steps,
        epochs=round(tokens / max(1, epoch), 3),
        config=job.spec.model.config,
        parameters=count,
        seq_len=job.seq_len,
        step_tokens=step_tokens,
        flops_per_token=work.token_flops,
        flops=float(tokens * work.token_flops),
        state_bytes=state_bytes(model),
        memory=work.footprint.table(),
        pack_bytes=shards,
        checkpoint_bytes=checkpoints,
        download_bytes=moved.download,
        packing_bytes=moved.pack,
        kept_bytes=moved.keep,
        limits=job.spec.limits,
        quotes=_quotes(job, work, mfu, on),
        notes=(*notes, *_epochs(tokens / max(1, epoch))),
    )


class _Text(NamedTuple):
    """What is known of the tokens."""

    vocabulary: int
    fingerprint: str | None
    epoch_tokens: int
    manifest: Manifest | None


def _text(job: Preparation, notes: list[str]) -> _Text:
    trained = trained_vocabulary(job.tokenizer_name)
    if trained is None or not job.must_train_tokenizer:
        return _Text(job.tokenizer.vocabulary, job.recipe.fingerprint, job.epoch_tokens, _manifest(job, notes))
    epoch = round(sum(text_bytes(file) for file in job.corpus.files) / UNTRAINED_BYTES_PER_TOKEN)
    notes.append(f"tokenizer not trained yet: tokens counted at {UNTRAINED_BYTES_PER_TOKEN} bytes each")
    if job.spec.data.subset_size is not None:
        notes.append("and data.subset_size not counted before it is")
    return _Text(trained, None, epoch, None)


def _epochs(epochs: float) -> Iterator[str]:
    if epochs > WORTH_REPEATING:
        yield (
            f"{epochs:,.0f} epochs: beyond some {WORTH_REPEATING}, repeated text is worth less and less "
            "(Muennighoff et al. 2023, arXiv 2305.16264)"
        )


def _source(job: Preparation, raw: int, shards: int, is_packed: bool) -> Source:
    limit = job.spec.data.cache_limit
    return Source(
        mode=job.spec.mode,
        is_packed=is_packed,
        at_hub=job.corpus.is_pinned,
        in_object_store=job.place.is_remote,
        corpus_bytes=job.corpus.bytes,
        raw_bytes=raw,
        pack_bytes=shards,
        cache_limit=None if limit is None else parse_bytes(limit),
    )


def _work(job: Preparation, vocabulary: int, tokens: int, step_tokens: int) -> Work:
    return Work(
        tokens=tokens,
        step_tokens=step_tokens,
        token_flops=flops_per_token(job.model, vocabulary),
        footprint=Footprint(config=job.model, vocabulary=vocabulary, seq_len=job.seq_len, train=job.spec.train),
    )


def _quotes(job: Preparation, work: Work, mfu: float | None, asked: Sequence[Machine] | None) -> tuple[Quote, ...]:
    stated = None if mfu is None else state(mfu)
    if job.spec.mode == "pack":
        return ()
    precision = job.spec.train.precision
    measured = {} if stated else measured_by_runs(job.store, job.model, precision, job.run_id)

    def on(machine: Machine) -> Quote:
        known = utilization(machine.gpu or "", stated, measured, precision=precision, token_flops=work.token_flops)
        return quote(machine, known, work, job.spec.limits)

    return tuple(map(on, _machines(job) if asked is None else asked))


def _machines(job: Preparation) -> tuple[Machine, ...]:
    """The job's machines; where it names none and a run has measured this one, this one before those for rent."""
    resources, train = job.spec.resources, job.spec.train
    found = machines(resources)
    if resources.ordered or resources.gpu is not None:
        return found
    speed = measured_here(job.store, job.model, train, job.seq_len, job.run_id)
    if speed is None:
        return found
    here = Machine(name="this machine", gpu=None, gpus=0, price_per_hour=resources.price_per_hour, speed=speed)
    return (here, *found)


def _manifest(job: Preparation, notes: list[str]) -> Manifest | None:
    try:
        return job.manifest
    except DataError as error:
        notes.append(str(error))
        return None
