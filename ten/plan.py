"""The plan verb: what a job will take, counted before anything is made. No torch."""

import msgspec

from ten.data.manifest import Manifest
from ten.errors import DataError
from ten.hub.usual_splits import TRAIN
from ten.model.cost import flops_per_token, parameters, state_bytes
from ten.preparation import Preparation
from ten.text.download import is_fetched_whole
from ten.text.tokens import trained_vocabulary
from ten.text.units import text_bytes
from ten.train.checkpoint_size import checkpoint_bytes
from ten.train.length import run_tokens
from ten.units import format_bytes, format_count

UNTRAINED_BYTES_PER_TOKEN = 3.5
"""Bytes of text per token assumed where the tokenizer is still to be trained."""


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
    pack_bytes: int
    checkpoint_bytes: int
    """Of all checkpoints kept at a time, and one being written."""
    notes: tuple[str, ...]


def make_plan(job: Preparation) -> Plan:
    """Count a job's parameters, tokens, operations, bytes and steps; nothing is written."""
    train, model = job.spec.train, job.model
    notes: list[str] = []
    trained = trained_vocabulary(job.tokenizer_name)
    manifest: Manifest | None = None
    if trained is not None and job.must_train_tokenizer:
        vocabulary, fingerprint = trained, None
        epoch = round(sum(text_bytes(file) for file in job.corpus.files) / UNTRAINED_BYTES_PER_TOKEN)
        notes.append(f"tokenizer not trained yet: tokens counted at {UNTRAINED_BYTES_PER_TOKEN} bytes each")
        if job.spec.data.subset_size is not None:
            notes.append("and data.subset_size not counted before it is")
    else:
        vocabulary, fingerprint, epoch = job.tokenizer.vocabulary, job.recipe.fingerprint, job.epoch_tokens
        manifest = _manifest(job, notes)
    step_tokens = job.seq_len * train.micro_batch_rows * train.gradient_accumulation
    wanted = run_tokens(train, step_tokens=step_tokens, epoch_tokens=epoch)
    steps = -(-wanted // step_tokens)
    count = parameters(model, vocabulary)
    width = 2 if vocabulary <= 2**16 else 4
    per_token = flops_per_token(model, vocabulary)
    asked = job.corpus.asked
    keeps_files = is_fetched_whole(job.corpus, keep=job.spec.data.keep_files or job.spec.mode == "full")
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
        raw_bytes=job.corpus.bytes if keeps_files and manifest is None else 0,
        tokenizer=job.tokenizer_name,
        vocabulary=vocabulary,
        fingerprint=fingerprint,
        packed=manifest is not None,
        epoch_tokens=epoch,
        tokens=steps * step_tokens,
        steps=steps,
        epochs=round(steps * step_tokens / max(1, epoch), 3),
        config=job.spec.model.config,
        parameters=count,
        seq_len=job.seq_len,
        step_tokens=step_tokens,
        flops_per_token=per_token,
        flops=float(steps * step_tokens * per_token),
        state_bytes=state_bytes(model),
        pack_bytes=manifest.bytes if manifest else epoch * width,
        checkpoint_bytes=checkpoint_bytes(model, vocabulary, train) * (job.spec.checkpoint.keep_last + 1),
        notes=tuple(notes),
    )


def describe_plan(plan: Plan) -> str:
    """A plan for people."""
    packed = "packed" if plan.packed else "to be packed"
    shards, checkpoints = format_bytes(plan.pack_bytes), format_bytes(plan.checkpoint_bytes)
    raw = f", raw files: {format_bytes(plan.raw_bytes)}, kept in cache_dir" if plan.raw_bytes else ""
    identity = f", pack {plan.fingerprint[:12]}" if plan.fingerprint else ""
    lines = [
        ("run", f"{plan.run} (mode {plan.mode})"),
        ("model", f"{plan.config}: {plan.parameters:,} parameters, vocabulary {plan.vocabulary:,} ({plan.tokenizer})"),
        (
            "data",
            f"{plan.dataset} ({plan.revision}): {plan.files:,} files, {format_bytes(plan.corpus_bytes)}{identity}",
        ),
        *_hub_lines(plan),
        ("epoch", f"about {format_count(plan.epoch_tokens)} tokens"),
        ("length", f"{plan.tokens:,} tokens = {plan.epochs:g} epochs"),
        ("steps", f"{plan.steps:,} of {plan.step_tokens:,} tokens, rows of {plan.seq_len:,}"),
        ("compute", f"{plan.flops:.3g} FLOPs, {format_count(plan.flops_per_token)} per token"),
        ("disk", f"{shards} of shards ({packed}), {checkpoints} of checkpoints{raw}"),
        ("carry", f"{format_bytes(plan.state_bytes)} per sequence while generating, at any length"),
        *(("note", note) for note in plan.notes),
    ]
    return "\n".join(f"{name:<8} {text}" for name, text in lines)


def _hub_lines(plan: Plan) -> list[tuple[str, str]]:
    """What of a repository at the hub is read."""
    if plan.repository is None:
        return []
    config = f"config {plan.hub_config}, " if plan.hub_config else ""
    column = f", text column {plan.text_column}" if plan.text_column else ""
    return [("hub", f"{plan.repository}, {config}split {plan.split}{column}, commit {plan.revision}")]


def _manifest(job: Preparation, notes: list[str]) -> Manifest | None:
    try:
        return job.manifest
    except DataError as error:
        notes.append(str(error))
        return None
