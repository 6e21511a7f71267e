"""The verbs that do a job: plan, render, pack, train."""

import argparse
import logging
import os
from pathlib import Path

import msgspec

from ten.errors import ServiceUnavailable
from ten.job import JobSpec, load_job
from ten.job_flags import job_settings
from ten.units import counted, format_bytes, format_count, format_seconds, parse_seconds
from ten.verbs.terminal import as_json, show

log = logging.getLogger(__name__)


def plan(arguments: argparse.Namespace) -> int:
    """Print a job in numbers."""
    from ten.calls.patience import impatient
    from ten.plan import describe_plan, make_plan
    from ten.preparation import Preparation

    job = Preparation(job_of(arguments))
    try:
        with impatient():
            planned = make_plan(job, getattr(arguments, "mfu", None))
    except ServiceUnavailable as error:
        raise ServiceUnavailable(
            f"{error}. To plan without the data: `ten plan --dataset stdlib --store FOLDER --tokens N`"
        ) from None
    show(as_json(planned) if getattr(arguments, "json", False) else describe_plan(planned))
    return 0


def render(arguments: argparse.Namespace) -> int:
    """Print a job as another engine's file."""
    from ten.render import formats

    show(formats.render(job_of(arguments), arguments.to).rstrip("\n"))
    return 0


def pack(arguments: argparse.Namespace) -> int:
    """Pack a job's dataset."""
    if arguments.dry_run:
        return plan(arguments)
    from ten import feeding
    from ten.data.ray_cluster import RayCluster
    from ten.data.rows import row_count
    from ten.disk import require_room
    from ten.limits import budgeted, limited
    from ten.preparation import Preparation
    from ten.train.stopping import StopRequest

    spec, cluster = job_of(arguments), RayCluster(arguments.on) if arguments.on else None
    job = Preparation(spec if spec.mode == "full" else msgspec.structs.replace(spec, mode="pack"))
    stop = StopRequest()
    with limited(spec, stop), budgeted(spec, stop):
        require_room(job)
        cache = job.open_cache()
        packed = feeding.pack(job, force=arguments.force, on=cluster)
    manifest = packed.manifest
    rows = sum(row_count(shard.tokens, job.seq_len) for shard in cache.pack.entries(manifest))
    made = f"{packed.packed} of {counted(manifest.units, 'shard')} made now with {packed.engine}"
    show(
        f"packed {format_count(manifest.tokens)} tokens of {manifest.documents:,} documents into {cache.address} "
        f"({format_bytes(manifest.bytes)}; {made if packed.packed else 'it was complete'})\n"
        f"{rows:,} rows of {job.seq_len:,} tokens; held out: "
        f"{manifest.held_out_documents:,} documents; without text: {manifest.skipped:,} records"
        + (f"; row groups that do not decode, left out: {manifest.bad:,}" if manifest.bad else "")
    )
    if not rows:
        column = cache.recipe.corpus.text_column
        doubt = f"is {column!r} the column of the text (--text-column)? Else " if column else ""
        log.warning("too little text for one row of %d tokens: %sgive more, or a shorter --seq-len", job.seq_len, doubt)
    return 0


def train(arguments: argparse.Namespace) -> int:
    """Train a job's run to its end."""
    if arguments.dry_run:
        return plan(arguments)
    from ten.launch import launch, ranks_here

    spec = job_of(arguments)
    if (ranks := ranks_here(spec.train)) > 1:
        return launch(arguments.words, ranks, grace_s=parse_seconds(spec.limits.stop_grace))
    from ten import run

    outcome = run.train(spec)
    if os.environ.get("RANK", "0") != "0":
        return 0
    position, bits, waited = outcome.position, outcome.held_out_bits_per_byte, outcome.waited_share
    length, time = format_count(position.tokens), format_seconds(position.seconds)
    show(
        f"{'finished' if waited is not None else 'already finished'} at step {position.step}: {length} tokens in {time}"
        + ("" if outcome.loss is None else f", loss {outcome.loss:.3f} nats per token")
        + ("" if bits is None else f", held out {bits:.3f} bits per byte")
        + ("" if waited is None else f"\nwaited for data {waited:.1%} of the time")
        + f"\ncheckpoint {outcome.checkpoint}"
    )
    return 0


def job_of(arguments: argparse.Namespace, name: str | None = None) -> JobSpec:
    """The job that a command line means; one without a file is called `name`, or as the verb is."""
    path = Path(arguments.job) if arguments.job else None
    return load_job(path, job_settings(arguments), arguments.set, name=name or arguments.verb)
