"""What `ten runs` says: each run of a store with its steps, tokens, losses, checkpoints, age and state. No torch."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import msgspec

from ten.errors import MissingInput
from ten.store.protocol import ObjectStat, Store
from ten.train.beside import METRICS
from ten.train.checkpoint_files import SEAL
from ten.train.metrics import TAIL_BYTES, StepMetrics, last_lines, recent_steps
from ten.train.run_record import RunRecord, decode_run
from ten.units import format_count, format_seconds

_AT_ONCE = 8
_HEADS = ("step", "tokens", "nats/token", "bits/byte", "checkpoints", "cost")


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run at a glance."""

    run: str
    step: int
    """Of the newest line of its metrics; 0 without one."""
    tokens: int
    total_tokens: int
    loss: float | None
    """Nats per token, a mean over the last steps (`recent_steps`)."""
    held_out_bits_per_byte: float | None
    """The newest among its last steps."""
    checkpoints: int
    """Complete ones in the store."""
    age_s: float | None
    """Of the newest checkpoint; None where there is none, or where the store does not say."""
    state: str
    """finished, the reason why it stopped, or that no end is recorded."""
    dollars: float | None = None
    """Of the attempts whose price is known; None where no price is."""
    unpriced: int = 0
    """Attempts whose price is not known."""


def list_runs(store: Store, clock: Callable[[], float] = time.time) -> list[RunSummary]:
    """Every run of a store, by id; three requests a run, of a few runs at once.

    Raises MissingInput where the store has none, DataError for a damaged run.json, and what the store raises.
    """
    names = store.children("runs")
    with nullcontext() if store.root is not None else ThreadPoolExecutor(_AT_ONCE) as pool:
        summaries = list((pool.map if pool else map)(lambda run: _summary(store, run, clock()), names))
    found = [summary for summary in summaries if summary is not None]
    if not found:
        raise MissingInput(f"{store.url}: no runs yet; `ten train` makes one")
    return found


def describe_runs(runs: Sequence[RunSummary]) -> str:
    """A table for people, in eighty columns: name and state of each run, and its numbers below."""
    rows = [_HEADS, *(_row(run) for run in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    head, *numbers = ("  ".join(map(str.rjust, row, widths)) for row in rows)
    told = [f"{run.run}: {run.state}\n{line}" for run, line in zip(runs, numbers, strict=True)]
    if any(run.unpriced for run in runs):
        told.append("?: attempts without a price; resources.price_per_hour states what an hour costs")
    return "\n".join([head, *told])


def _summary(store: Store, run: str, now: float) -> RunSummary | None:
    objects = {found.key.removeprefix(f"runs/{run}/"): found for found in store.list(f"runs/{run}/")}
    if "run.json" not in objects:
        return None
    key = f"runs/{run}/run.json"
    record = decode_run(store.read(key), f"{store.url}/{key}")
    lines = _last_steps(store, objects.get(METRICS))
    scores = [line.held_out_bits_per_byte for line in lines if line.held_out_bits_per_byte is not None]
    seals = [found for name, found in objects.items() if name.endswith(f"/{SEAL}")]
    saved = [found.modified for found in seals if found.modified is not None]
    return RunSummary(
        run=run,
        step=lines[-1].step if lines else 0,
        tokens=lines[-1].tokens if lines else 0,
        total_tokens=record.total_tokens,
        loss=statistics.fmean(line.loss for line in lines[-recent_steps(lines[-1].step) :]) if lines else None,
        held_out_bits_per_byte=scores[-1] if scores else None,
        checkpoints=len(seals),
        age_s=max(now - max(saved), 0.0) if saved else None,
        dollars=record.cost if record.unpriced < len(record.attempts) else None,
        unpriced=record.unpriced,
        state=_state(record),
    )


def _last_steps(store: Store, metrics: ObjectStat | None) -> list[StepMetrics]:
    if metrics is None or not metrics.bytes:
        return []
    length = min(TAIL_BYTES, metrics.bytes)
    return last_lines(store.read_range(metrics.key, metrics.bytes - length, length))


def _state(record: RunRecord) -> str:
    if not record.attempts:
        return "not begun"
    last = record.attempts[-1]
    if last.ended is None:
        return f"running, or killed, since {last.started:%Y-%m-%d %H:%M} UTC"
    reason = (last.reason or "").splitlines()
    return reason[0].partition(";")[0] if reason else "ended"


def _row(run: RunSummary) -> tuple[str, ...]:
    of = f" of {format_count(run.total_tokens)}" if run.tokens < run.total_tokens else ""
    cost = [] if run.dollars is None else [f"${run.dollars:.2f}"]
    return (
        str(run.step),
        f"{format_count(run.tokens)}{of}",
        "-" if run.loss is None else f"{run.loss:.3f}",
        "-" if run.held_out_bits_per_byte is None else f"{run.held_out_bits_per_byte:.3f}",
        f"{run.checkpoints}" + ("" if run.age_s is None else f", {format_seconds(run.age_s)} ago"),
        " + ".join([*cost, *(["?"] if run.unpriced else [])]) or "-",
    )
