"""Held-out loss in bits per byte of text: comparable between tokenizers, which nats per token are not."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ten.errors import DataError, TrainingDiverged
from ten.train.backward import Autocast, summed_nats
from ten.train.distributed import World
from ten.train.interval import Interval, Timer
from ten.train.step import Stepper
from ten.train.stopping import Interrupted, StopRequest

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut
    from ten.model.lm import LanguageModel

log = logging.getLogger(__name__)

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]


class Scorer:
    """When a run is scored on its held-out text, and its score."""

    def __init__(
        self, held_out: HeldOut | None, stepper: Stepper, every: Interval, stop: StopRequest, now: float
    ) -> None:
        self._held_out, self._stepper, self._stop = held_out, stepper, stop
        self._timer = Timer(every, now)

    @property
    def is_possible(self) -> bool:
        """Whether there is text to score it on, as far as is known."""
        return self._held_out is not None

    def is_due(self, step: int, now: float) -> bool:
        """Whether it is time again, by this rank's clock."""
        return self._timer.due(step, now)

    def mark(self, now: float) -> None:
        """It was done now."""
        self._timer.mark(now)

    def score(self) -> float | None:
        """Bits per byte; None when a stop came first, and when there is nothing held out (not `is_possible` then)."""
        if self._held_out is None:
            return None
        world, interrupted = self._stepper.world, torch.zeros(1)
        try:
            with self._stop.interrupting():  # the text may have to be packed first
                size = self._held_out.text_bytes
        except Interrupted:
            interrupted += 1
        if world.sum(interrupted.to(world.device)).item():
            return None
        if not size:
            log.warning(
                "the data has too few documents to hold any out: the run is not scored; score it on other text with "
                "`ten eval --dataset TEXT`, or train on a dataset with a validation split"
            )
            self._held_out = None
            return None
        model, autocast = self._stepper.model, self._stepper.autocast
        segment = self._stepper.backward.segment
        return bits_per_byte(model, self._held_out, world=world, autocast=autocast, stop=self._stop, segment=segment)


def bits_per_byte(
    model: LanguageModel,
    held_out: HeldOut,
    *,
    world: World,
    autocast: Autocast,
    stop: Callable[[], bool],
    segment: int | None = None,
) -> float | None:
    """Sum of nats over `held_out` / (bytes of its text · ln 2); None when a rank was asked to stop meanwhile.

    Ranks take micro-batches in turn and meet once, at the end; `segment` tokens of a row are worked on at a time (None:
    all). The model returns to the mode it was in.
    """
    if not held_out.text_bytes:
        raise DataError("the held-out text is empty; give a data set with a validation split or more documents")

    def nats(tokens: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
        return summed_nats(model, tokens, starts, weights, autocast, segment)

    sums = summed(model, held_out, nats, 1, world=world, stop=stop)
    return None if sums is None else float(sums[0] / (held_out.text_bytes * math.log(2)))


def summed(
    model: LanguageModel,
    held_out: HeldOut,
    measure: Measure,
    count: int,
    *,
    world: World,
    stop: Callable[[], bool],
) -> list[float] | None:
    """`count` numbers that `measure` gives of each micro-batch, in evaluation mode and without gradients, added up over
    all of `held_out`; None when a rank was asked to stop meanwhile.

    `measure` takes tokens, starts and weights as `LanguageModel.loss` does. Raises TrainingDiverged where a sum is not
    finite. The model returns to the mode it was in.
    """
    training = model.training
    model.eval()
    try:
        *sums, stopped = world.sum(_rank_sums(held_out, measure, count, world, stop)).tolist()
    finally:
        model.train(training)
    if stopped:
        return None
    if wrong := [value for value in sums if not math.isfinite(value)]:
        raise TrainingDiverged(f"the held-out loss is {wrong[0]}; lower train.learning_rate and run again")
    return sums


@torch.no_grad()
def _rank_sums(held_out: HeldOut, measure: Measure, count: int, world: World, stop: Callable[[], bool]) -> Tensor:
    """(count + 1,) fp64: this rank's share, and 1 where it was asked to stop."""
    total = torch.zeros(count + 1, dtype=torch.float64, device=world.device)
    for number, micro in enumerate(held_out):
        if stop():
            total[-1] = 1.0
            break
        if number % world.size == world.rank:
            total[:-1] += measure(*(x.to(world.device) for x in (micro.tokens, micro.starts, micro.weights)))
    return total
