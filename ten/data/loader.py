"""Loader: the rows of each optimizer step as tensors, prepared ahead by one thread."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ten.data.cursor import Cursor
from ten.data.fill import Fill
from ten.data.reader import Row, read_rows
from ten.data.recipe import Recipe
from ten.data.rows import row_digest
from ten.data.waiting import Waiting
from ten.errors import ServiceUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """The rows of one forward and backward pass on one rank."""

    tokens: Tensor
    """(B, T + 1) int64: inputs and, one step on, targets."""
    starts: Tensor
    """(B, T) bool: True where an input token is a document's first, so that the carry is reset there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatch:
    """One rank's share of a global batch."""

    micro_batches: tuple[MicroBatch, ...]
    row_digests: tuple[bytes, ...]
    """sha256 of each of this rank's rows, micro-batch by micro-batch."""
    cursor: Cursor
    """Where training is once this step is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchShape:
    """How a global batch is dealt out: micro-batch m of rank r is rows (m·ranks + r)·rows … of it."""

    micro_batch_rows: int
    micro_batches: int
    rank: int = 0
    ranks: int = 1
    reset_carry: bool = True
    """Whether `starts` marks the documents inside a row; else rows are one long text."""

    @property
    def global_rows(self) -> int:
        """Rows of one optimizer step, all ranks together."""
        return self.micro_batch_rows * self.micro_batches * self.ranks


class Loader:
    """An endless iterator of StepBatch. Errors of its thread are raised where the batch is asked for."""

    def __init__(
        self, recipe: Recipe, fill: Fill, cursor: Cursor, shape: BatchShape, *, ahead: int = 3, pin: bool = False
    ) -> None:
        self._steps = step_batches(recipe, fill, cursor, shape, pin=pin)
        self._fill = fill
        self._is_first = shape.rank == 0
        self._given: Cursor | None = None
        self._ready: queue.Queue[StepBatch | BaseException] = queue.Queue(ahead)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._prefetch, name="loader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[StepBatch]:
        return self

    def __next__(self) -> StepBatch:
        """The next step's rows; blocks until they are there. Who asks has finished with the step given before."""
        if (given := self._given) is not None:
            self._given = None
            self._fill.passed(given)
        awaited = "the first rows" if given is None else "the next rows"
        waiting = Waiting(awaited, self._fill.holdup, is_told=self._is_first)
        while True:
            try:
                item = self._ready.get(timeout=1.0)
            except queue.Empty:
                if not self._thread.is_alive() and self._ready.empty():
                    raise ServiceUnavailable("the loader's thread has ended; was the loader closed?") from None
                waiting.poll()
                continue
            if isinstance(item, BaseException):
                raise item
            self._given = item.cursor
            return item

    def close(self) -> None:
        """End the thread and whatever fills the cache; batches not yet taken are forgotten."""
        self._closing.set()
        self._fill.close()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(0.05)
        self._drain()

    def _prefetch(self) -> None:
        try:
            for step in self._steps:
                if not self._put(step):
                    return
        except BaseException as error:
            if not self._closing.is_set():
                self._put(error)

    def _put(self, item: StepBatch | BaseException) -> bool:
        while not self._closing.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _drain(self) -> None:
        while not self._ready.empty():
            self._ready.get_nowait()


def step_batches(
    recipe: Recipe, fill: Fill, cursor: Cursor, shape: BatchShape, *, pin: bool = False
) -> Iterator[StepBatch]:
    """The steps after a cursor, made one by one by the caller's thread."""
    rows = read_rows(recipe, fill, cursor)
    per_round = shape.micro_batch_rows * shape.ranks
    first = shape.micro_batch_rows * shape.rank
    while True:
        micro_batches: list[MicroBatch] = []
        digests: list[bytes] = []
        for _ in range(shape.micro_batches):
            together = list(islice(rows, per_round))
            mine = together[first : first + shape.micro_batch_rows]
            micro_batches.append(_micro_batch(mine, shape.reset_carry, pin))
            digests += (row_digest(row.tokens) for row in mine)
        last = together[-1]
        cursor = cursor.moved(epoch=last.epoch, era=last.era, row_in_era=last.row_in_era, rows=shape.global_rows)
        yield StepBatch(micro_batches=tuple(micro_batches), row_digests=tuple(digests), cursor=cursor)


def _micro_batch(rows: list[Row], reset_carry: bool, pin: bool) -> MicroBatch:
    # NumPy converts in this thread alone; torch's own copy waits for its pool of threads and stalls on a busy machine
    tokens = np.empty((len(rows), len(rows[0].tokens)), dtype=np.int64)
    starts = np.empty((len(rows), len(rows[0].tokens) - 1), dtype=np.bool_)
    for index, row in enumerate(rows):
        tokens[index] = row.tokens
        starts[index] = row.starts() if reset_carry else False
    pair = torch.from_numpy(tokens), torch.from_numpy(starts)
    if pin:
        pair = pair[0].pin_memory(), pair[1].pin_memory()
    return MicroBatch(tokens=pair[0], starts=pair[1])
