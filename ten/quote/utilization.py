"""MFU, the part of a card's peak that training keeps busy: as stated, as a run of the same model had it, or assumed."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from ten.errors import DataError, MissingInput, SpecError
from ten.hardware import find_gpu
from ten.model.presets import ModelConfig
from ten.store.protocol import Store
from ten.train.machine import cores, processor
from ten.train.metrics import TAIL_BYTES
from ten.train.run_record import RunRecord, decode_run
from ten.train.settings import TrainSettings

ASSUMED = 0.4
"""What is assumed of bf16 training where nobody stated or measured better: a figure to be replaced, not a promise."""
LEAST_TOKEN_FLOPS = 3 * 10**8
"""Operations for a token below which nothing is assumed: a model smaller than the preset tiny does not fill a GPU, and
what its training takes is not arithmetic."""
_HOW_COMPUTED = ("backend", "recompute")
"""Fields of a model that do not make it another model."""


class Mfu(msgspec.Struct, frozen=True, kw_only=True):
    """A utilization and where it is from."""

    value: float
    source: Literal["stated", "measured", "assumed"]
    run: str | None = None
    """The run that measured it."""


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the same job had on this machine's processor."""

    tokens_per_s: float
    run: str


class _Line(msgspec.Struct):
    mfu: float | None = None
    tokens_per_s: float | None = None


def state(value: float) -> Mfu:
    """A utilization that somebody states. Raises SpecError for one that no card has."""
    if not 0 < value <= 1:
        raise SpecError(f"--mfu {value:g}: a part of the card's peak is above 0 and at most 1, such as 0.4")
    return Mfu(value=value, source="stated")


def utilization(
    gpu: str, stated: Mfu | None, measured: Mapping[str, Mfu], *, precision: str, token_flops: int
) -> Mfu | None:
    """The utilization to reckon with on a card.

    None where nobody stated or measured it and nothing can be assumed: in fp32, whose peak is not that of bf16, and of
    small models.
    """
    if stated is not None:
        return stated
    if gpu in measured:
        return measured[gpu]
    can_assume = precision != "fp32" and token_flops >= LEAST_TOKEN_FLOPS
    return Mfu(value=ASSUMED, source="assumed") if can_assume else None


def measured_by_runs(store: Store, model: ModelConfig, precision: str, run: str) -> dict[str, Mfu]:
    """What runs of the same model and precision had, by card: the last steps' median; the newest attempt counts.

    In a folder every run is looked at, in an object store the job's own alone, which takes two requests. Runs whose
    files are damaged are passed over: whoever goes on with them says so.
    """
    found: dict[str, tuple[RunRecord, Mfu]] = {}
    for name, record in _same_runs(store, model, precision, run):
        card = find_gpu(record.attempts[-1].device)
        if card is None:
            continue
        values = [line.mfu for line in _last(store, name) if line.mfu is not None and 0 < line.mfu <= 1]
        if values and (card.name not in found or found[card.name][0].is_older_than(record)):
            found[card.name] = record, Mfu(value=statistics.median(values), source="measured", run=name)
    return {gpu: mfu for gpu, (_, mfu) in found.items()}


def measured_here(store: Store, model: ModelConfig, train: TrainSettings, seq_len: int, run: str) -> Speed | None:
    """What the newest run of the same model, precision and rows had on this machine's processor; None without one.

    The same runs are looked at as for cards.
    """
    here = (processor(), cores())
    newest: tuple[RunRecord, Speed] | None = None
    for name, record in _same_runs(store, model, train.precision, run):
        last, rows = record.attempts[-1], record.spec.get("train", {}).get("micro_batch_rows")
        is_here = (last.device, last.machine.cores) == here and last.world_size == 1
        alike = rows == train.micro_batch_rows and record.spec.get("data", {}).get("seq_len") == seq_len
        if not is_here or not alike or (newest is not None and record.is_older_than(newest[0])):
            continue
        values = [line.tokens_per_s for line in _last(store, name) if line.tokens_per_s]
        if values:
            newest = record, Speed(tokens_per_s=statistics.median(values), run=name)
    return None if newest is None else newest[1]


def _same_runs(store: Store, model: ModelConfig, precision: str, run: str) -> Iterator[tuple[str, RunRecord]]:
    for name in [run] if store.root is None else store.children("runs"):
        try:
            record = decode_run(store.read(f"runs/{name}/run.json"), name)
        except (MissingInput, DataError):
            continue
        if record.attempts and _is_same(record.spec, model, precision):
            yield name, record


def _is_same(spec: Mapping[str, Any], model: ModelConfig, precision: str) -> bool:
    fields = msgspec.to_builtins(model)
    had = spec.get("model", {})
    same = all(had.get(name) == value for name, value in fields.items() if name not in _HOW_COMPUTED)
    return same and (spec.get("train", {}).get("precision") == "fp32") == (precision == "fp32")


def _last(store: Store, run: str) -> list[_Line]:
    """The last steps of a run; a line that is cut off at its beginning, or torn at its end, tells nothing."""
    key = f"runs/{run}/metrics.jsonl"
    there = store.stat(key)
    if there is None or not there.bytes:
        return []
    begin = max(0, there.bytes - TAIL_BYTES)
    return list(map(_line, store.read_range(key, begin, there.bytes - begin).split(b"\n")))


def _line(text: bytes) -> _Line:
    try:
        return msgspec.json.decode(text, type=_Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Line()
