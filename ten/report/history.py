"""History: a metrics.jsonl of any length in a few hundred buckets of steps, read once, in memory that does not grow."""

import math
import statistics
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ten.errors import DataError, MissingInput
from ten.train.context import ContextLoss
from ten.train.metrics import MOST_RECENT, recent_steps

BUCKETS = 512
"""Fewest buckets of a history that has more steps than twice as many."""
_LINES_AT_ONCE = 8192
_POINTS = 4096
"""Most evaluations kept; beyond it every second one is left out."""
_MARKS = 200
"""Most marks kept of each kind."""
SERIES = ("loss", "lr", "grad_norm", "tokens_per_s", "mfu", "data_wait_s")
_FLAGS = ("skipped", "rolled_back")
_Floats = NDArray[np.float64]


class _Line(msgspec.Struct):
    """What is read of a line; a field that a version does not know, or writes as null, is None."""

    step: int
    tokens: int
    seconds: float
    loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    tokens_per_s: float | None = None
    mfu: float | None = None
    data_wait_s: float | None = None
    held_out_bits_per_byte: float | None = None
    held_out_by_context: tuple[ContextLoss, ...] = ()
    skipped: Any = None
    rolled_back: Any = None


@dataclass(frozen=True, slots=True)
class Extent:
    """One measured series, a value a bucket; NaN where nothing was measured."""

    low: _Floats
    high: _Floats
    mean: _Floats


@dataclass(frozen=True, slots=True)
class Position:
    """Where something lies in a run."""

    step: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A run's metrics in buckets of consecutive steps; positions are those of each bucket's last step."""

    steps: _Floats
    tokens: _Floats
    seconds: _Floats
    series: dict[str, Extent]
    """Those of `SERIES` that were measured at all."""
    held_out: list[tuple[Position, float]]
    by_context: tuple[ContextLoss, ...]
    """The newest held-out loss by context; none where none was measured."""
    marks: dict[str, list[Position]]
    """Where a line says skipped or rolled back."""
    recent: dict[str, float]
    """Of the same series the mean over the last steps (`recent_steps`), where any of them has it."""
    lines: int

    def at_step(self, step: float) -> Position:
        """Where a step lies, between the buckets' ends where need be."""
        steps, known = np.concatenate([[0.0], self.steps]), (self.tokens, self.seconds)
        tokens, seconds = (float(np.interp(step, steps, np.concatenate([[0.0], values]))) for values in known)
        return Position(int(step), int(tokens), seconds)


def read_history(path: Path) -> History:
    """The history in a metrics.jsonl; a torn last line is left out.

    Raises MissingInput where there is no such file or no line, DataError for a line that is none.
    """
    buckets = _Buckets()
    held_out: list[tuple[Position, float]] = []
    by_context: tuple[ContextLoss, ...] = ()
    marks: dict[str, list[Position]] = {}
    lines = every = 0
    evaluations = 0
    newest: deque[_Line] = deque(maxlen=MOST_RECENT)
    for batch in _batches(path):
        lines += len(batch)
        buckets.add(batch)
        newest.extend(batch)
        for line in batch:
            if line.held_out_bits_per_byte is not None:
                if evaluations % (1 << every) == 0:
                    held_out.append((Position(line.step, line.tokens, line.seconds), line.held_out_bits_per_byte))
                evaluations += 1
                by_context = line.held_out_by_context
            if line.skipped or line.rolled_back:
                _mark(marks, line)
        while len(held_out) > _POINTS:
            held_out, every = held_out[::2], every + 1
    if not lines:
        raise MissingInput(f"{path}: no step yet; a run writes a line with each")
    return History(
        **buckets.columns(), held_out=held_out, by_context=by_context, marks=marks, recent=_recent(newest), lines=lines
    )


def _recent(newest: deque[_Line]) -> dict[str, float]:
    last = list(newest)[-recent_steps(newest[-1].step) :]
    found: dict[str, float] = {}
    for name in SERIES:
        values = [value for line in last if (value := getattr(line, name)) is not None and math.isfinite(value)]
        if values:
            found[name] = statistics.fmean(values)
    return found


def _mark(marks: dict[str, list[Position]], line: _Line) -> None:
    for name in _FLAGS:
        if getattr(line, name) and len(marks.setdefault(name, [])) < _MARKS:
            marks[name].append(Position(line.step, line.tokens, line.seconds))


def _batches(path: Path) -> Iterator[list[_Line]]:
    decoder = msgspec.json.Decoder(_Line)
    try:
        with path.open("rb") as file:
            batch: list[_Line] = []
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    break
                try:
                    batch.append(decoder.decode(text))
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise DataError(f"{path}: line {number} is no step's metrics ({error}); move it away") from None
                if len(batch) == _LINES_AT_ONCE:
                    yield batch
                    batch = []
            yield batch
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such metrics file; a run writes it with its first step") from None


@dataclass(slots=True)
class _Buckets:
    """Rows of an array, a bucket each: position, and least, greatest, sum and number of each series."""

    stride: int = 1
    rows: list[NDArray[np.float64]] = field(default_factory=list)
    count: int = 0

    def add(self, batch: list[_Line]) -> None:
        """Take in consecutive lines; all batches but the last have as many, a power of two."""
        if not batch:
            return
        stride = min(self.stride, _LINES_AT_ONCE)
        starts = np.arange(0, len(batch), stride)
        ends = np.minimum(starts + stride, len(batch)) - 1
        columns = [np.array([getattr(line, name) for line in batch])[ends] for name in ("step", "tokens", "seconds")]
        for name in SERIES:
            values = np.array([getattr(line, name) for line in batch], dtype=np.float64)
            known = np.isfinite(values)
            columns += [
                np.minimum.reduceat(np.where(known, values, np.inf), starts),
                np.maximum.reduceat(np.where(known, values, -np.inf), starts),
                np.add.reduceat(np.where(known, values, 0.0), starts),
                np.add.reduceat(known.astype(np.float64), starts),
            ]
        self.rows.append(np.stack([column.astype(np.float64) for column in columns], axis=1))
        self.count += len(starts)
        while self.count > 2 * BUCKETS:
            self._halve()

    def _halve(self) -> None:
        rows = np.concatenate(self.rows)
        odd = rows[-1:] if len(rows) % 2 else rows[:0]
        self.rows = [_merged(rows[0 : len(rows) - len(odd) : 2], rows[1::2]), odd]
        self.count = sum(map(len, self.rows))
        self.stride *= 2

    def columns(self) -> dict[str, Any]:
        """All that was taken in, as a history has it."""
        rows = np.concatenate(self.rows)
        series: dict[str, Extent] = {}
        for number, name in enumerate(SERIES):
            low, high, total, known = rows[:, 3 + 4 * number : 7 + 4 * number].T
            if known.any():
                measured = known > 0
                mean = np.divide(total, known, out=np.full_like(total, np.nan), where=measured)
                series[name] = Extent(np.where(measured, low, np.nan), np.where(measured, high, np.nan), mean)
        return {"steps": rows[:, 0], "tokens": rows[:, 1], "seconds": rows[:, 2], "series": series}


def _merged(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each bucket of `first` with the one of `second` that follows it."""
    merged = second.copy()
    for column in range(3, merged.shape[1], 4):
        merged[:, column] = np.minimum(first[:, column], second[:, column])
        merged[:, column + 1] = np.maximum(first[:, column + 1], second[:, column + 1])
        merged[:, column + 2 : column + 4] = first[:, column + 2 : column + 4] + second[:, column + 2 : column + 4]
    return merged
