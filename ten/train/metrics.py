"""metrics.jsonl: one line a step, the source of truth from which every other view of a run is drawn."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ten.errors import DataError, MissingInput
from ten.model.memory import Level
from ten.store.durable import write_atomically, writing
from ten.train.context import ContextLoss, HeldOutLoss

TAIL_BYTES = 64 * 1024
"""Of metrics.jsonl: some 200 steps."""

FEWEST_RECENT, MOST_RECENT = 20, 100


def recent_steps(steps: int) -> int:
    """How many of the last steps the newest figures of a run are a mean of: one step's are noise.

    A twentieth of all `steps`, 20 at least, and 100 at most, which the last `TAIL_BYTES` have.
    """
    return min(MOST_RECENT, max(FEWEST_RECENT, steps // 20))


class StepMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known about one optimizer step."""

    step: int
    tokens: int
    """Targets trained on since the run began, by all ranks."""
    loss: float
    """Nats per token of the global batch, before the update."""
    lr: float
    grad_norm: float
    """2-norm of the gradient of `loss`, before clipping."""
    tokens_per_s: float
    """By all ranks over the recent steps, data waits included."""
    data_wait_s: float
    """Time this step waited for its batch."""
    rows_sha256: str
    """Of the global batch: equal for every mode, machine and number of ranks."""
    seconds: float
    """Time in training since the run began, over all attempts."""
    mfu: float | None = None
    """The part of the cards' dense bf16 peak that `tokens_per_s` is; only in bf16 on known cards."""
    skipped: str | None = None
    """What stood out of the step, which then changed no weight."""
    rolled_back: int | None = None
    """Step of the checkpoint whose weights were put back after this one."""
    held_out_bits_per_byte: float | None = None
    held_out_by_context: tuple[ContextLoss, ...] = ()
    """The same loss by how much of its document a prediction can look back on; on steps that were evaluated."""
    memory: Level = "keep"
    """Level of `train.memory` that the step was taken at."""
    stored: int | None = None
    """Step of the newest checkpoint in a store that is no folder, when this line was written."""

    def scored(self, score: HeldOutLoss | None) -> "StepMetrics":
        """The same with a held-out loss, if there is one."""
        if score is None:
            return self
        return msgspec.structs.replace(
            self, held_out_bits_per_byte=score.bits_per_byte, held_out_by_context=score.by_context
        )


class MetricsLog:
    """The writer. Opening it for a run that stands at `step` drops the lines of later steps and a torn last line."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._rewrite([line for line in _whole_lines(path) if _decode(path, line).step <= step])

    def append(self, metrics: StepMetrics) -> None:
        """Add one step's line; it is in the file on return. DiskFull when it does not fit."""
        with writing(self._path), self._path.open("ab", buffering=0) as file:
            file.write(msgspec.json.encode(metrics) + b"\n")

    def amend(self, metrics: StepMetrics) -> None:
        """Replace the last line by `metrics` of the same step: its held-out loss came later."""
        self._rewrite([*list(_whole_lines(self._path))[:-1], msgspec.json.encode(metrics)])

    def last(self) -> StepMetrics | None:
        """The newest line; None when there is none."""
        lines = list(_whole_lines(self._path)) if self._path.exists() else []
        return _decode(self._path, lines[-1]) if lines else None

    def sync(self) -> None:
        """Make every line durable, so that no checkpoint is newer than its metrics."""
        with writing(self._path), self._path.open("ab") as file:
            os.fsync(file.fileno())

    def _rewrite(self, lines: list[bytes]) -> None:
        write_atomically(self._path, b"".join(line + b"\n" for line in lines))


def read_metrics(path: Path) -> list[StepMetrics]:
    """All whole lines of a metrics.jsonl, in order. A torn last line (a writer that was killed) is left out."""
    if not path.exists():
        raise MissingInput(f"{path}: no such metrics file; a run writes it with its first step")
    return [_decode(path, line) for line in _whole_lines(path)]


def lines_until(path: Path, step: int) -> bytes:
    """The whole lines of a metrics.jsonl up to a step; nothing where there is no such file."""
    if not path.exists():
        return b""
    lines = list(_whole_lines(path))
    while lines and _decode(path, lines[-1]).step > step:
        lines.pop()
    return b"".join(line + b"\n" for line in lines)


def tokens_at(path: Path, step: int | None = None) -> int | None:
    """Tokens of the newest line, or of the newest up to a step; 0 at step 0, None where no line near the end tells."""
    if step == 0:
        return 0
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = last_lines(file.read())
    except OSError:
        return None
    return next((line.tokens for line in reversed(lines) if step is None or line.step <= step), None)


def last_lines(data: bytes) -> list[StepMetrics]:
    """The whole lines at the end of a metrics.jsonl, of which `data` are the last bytes."""
    lines: list[StepMetrics] = []
    for line in data.split(b"\n")[:-1]:
        try:
            lines.append(msgspec.json.decode(line, type=StepMetrics))
        except (ValueError, RecursionError):  # cut off at its beginning
            lines.clear()
    return lines


def _whole_lines(path: Path) -> Iterator[bytes]:
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    return iter(whole.split(b"\n") if whole else [])


def _decode(path: Path, line: bytes) -> StepMetrics:
    try:
        return msgspec.json.decode(line, type=StepMetrics)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: a line is no step's metrics ({error}): {line[:80]!r}; move the file away") from error
