"""Held-out loss: in bits per byte of text, and by how much of its document a prediction can look back on (torch)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ten.errors import DataError, TrainingDiverged
from ten.model.documents import steps_in_document
from ten.train.backward import Autocast, spans_of
from ten.train.context import ContextLoss, HeldOutLoss, bucket_edges
from ten.train.distributed import World
from ten.train.interval import Interval, Timer
from ten.train.sharding import settle
from ten.train.step import Stepper
from ten.train.stopping import Interrupted, StopRequest

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut, HeldOutBatch
    from ten.model.lm import Carry, LanguageModel

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

    def score(self) -> HeldOutLoss | None:
        """None when a stop came first, and when there is nothing held out (not `is_possible` then)."""
        if self._held_out is None:
            return None
        world, interrupted = self._stepper.world, torch.zeros(1)
        try:
            with self._stop.interrupting():  # the text may have to be packed first
                size = self._held_out.text_bytes
        except Interrupted:
            interrupted += 1
        if world.sum(interrupted).item():
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
        return held_out_loss(model, self._held_out, world=world, autocast=autocast, stop=self._stop, segment=segment)


def held_out_loss(
    model: LanguageModel,
    held_out: HeldOut,
    *,
    world: World,
    autocast: Autocast,
    stop: Callable[[], bool] = lambda: False,
    segment: int | None = None,
    scored: Callable[[int], object] = lambda _: None,
) -> HeldOutLoss | None:
    """The loss over `held_out` by context; None when a rank was asked to stop. `scored` is told of tokens on the way.

    In evaluation mode and without gradients. Ranks take micro-batches in turn and meet once, at the end; `segment`
    tokens of a row are worked on at a time (None: all). The model returns to the mode it was in.

    Raises DataError where there is no text, TrainingDiverged where the loss is not finite.
    """
    if not held_out.text_bytes:
        raise DataError("the held-out text is empty; give a data set with a validation split or more documents")
    edges = bucket_edges(held_out.seq_len)
    measure = partial(_sums_of_buckets, model, edges, autocast, segment)
    training = model.training
    model.eval()
    try:
        *sums, stopped = world.sum(_rank_sums(held_out, measure, 2 * (len(edges) - 1), world, stop, scored)).tolist()
    finally:
        settle(model, world)
        model.train(training)
    if stopped:
        return None
    if wrong := [value for value in sums if not math.isfinite(value)]:
        raise TrainingDiverged(f"the held-out loss is {wrong[0]}; lower train.learning_rate and run again")
    return _in_bits(edges, sums, held_out.text_bytes)


def _in_bits(edges: list[int], sums: list[float], text_bytes: int) -> HeldOutLoss:
    """From nats of each bucket, then its predictions."""
    count = len(edges) - 1
    buckets = tuple(
        ContextLoss(begin=begin, end=end, tokens=round(tokens), bits_per_token=nats / (tokens * math.log(2)))
        for (begin, end), nats, tokens in zip(pairwise(edges), sums[:count], sums[count:], strict=True)
        if tokens
    )
    return HeldOutLoss(by_context=buckets, text_bytes=text_bytes)


@torch.no_grad()
def _rank_sums(
    held_out: HeldOut,
    measure: Measure,
    count: int,
    world: World,
    stop: Callable[[], bool],
    scored: Callable[[int], object],
) -> Tensor:
    """(count + 1,) fp64: this rank's share, and 1 where it was asked to stop.

    Where passes are collectives, a rank that has nothing in the last round keeps step with what another one has.
    """
    total = torch.zeros(count + 1, dtype=torch.float64, device=world.device)
    for dealt in _rounds(held_out, world.size):
        if world.agree(stop()):
            total[-1] = 1.0
            break
        has_one = world.rank < len(dealt)
        if has_one or world.in_step:
            micro = dealt[world.rank if has_one else 0]
            sums = measure(*(x.to(world.device) for x in (micro.tokens, micro.starts, micro.weights)))
            if has_one:
                total[:-1] += sums
                scored(int(micro.weights.sum()))
    return total


def _rounds(held_out: HeldOut, ranks: int) -> Iterator[list[HeldOutBatch]]:
    """Micro-batches, one for each rank at a time; the last round may have fewer."""
    micro_batches = iter(held_out)
    while dealt := list(islice(micro_batches, ranks)):
        yield dealt


@torch.no_grad()
def _sums_of_buckets(
    model: LanguageModel,
    edges: list[int],
    autocast: Autocast,
    segment: int | None,
    tokens: Tensor,
    starts: Tensor,
    weights: Tensor,
) -> Tensor:
    """(2 · buckets,) fp64: nats of each bucket, then its predictions; tensors as `LanguageModel.loss` takes them.

    Every prediction meets the head once, with those of its bucket.
    """
    rows, time = starts.shape
    context = steps_in_document(starts, time, tokens.new_zeros(rows))
    bucket = torch.bucketize(context, torch.tensor(edges[1:-1], device=context.device), right=True)
    sums = torch.zeros(2, len(edges) - 1, dtype=torch.float64, device=tokens.device)
    carry: Carry | None = None
    for span in spans_of(time, segment or time):
        with autocast():
            hidden, carry = model(tokens[:, span], starts[:, span], carry)
            flat, targets = hidden.flatten(0, 1), tokens[:, span.start + 1 : span.stop + 1].flatten()
            inside, counted = bucket[:, span].flatten(), weights[:, span].flatten()
            for number, chosen in enumerate(_members(inside, sums.shape[1])):
                sums[0, number] += model.head_loss(flat[chosen], targets[chosen], counted[chosen])
                sums[1, number] += counted[chosen].sum()
    return sums.flatten()


def _members(bucket: Tensor, count: int) -> tuple[Tensor, ...]:
    """Of each of `count` buckets the positions in it, in order."""
    order = torch.argsort(bucket, stable=True)
    return torch.split(order, torch.bincount(bucket, minlength=count).tolist())
