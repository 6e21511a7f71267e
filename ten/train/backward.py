"""Backward: the gradient of a micro-batch at a level of `train.memory`; the same gradient at each (torch).

At the level `segments` a row is cut into segments of time. A first pass without gradients keeps nothing but the carries
between them. A second one goes from the last segment to the first: each runs again from its carry, and its backward
pass begins with the gradient of the carry it leaves, which the segment after it has found. Carries are all that
connects segments, so this is the gradient of the whole row: nothing is truncated, and memory does not grow with it.
Rows come one after another, or as many at a time as a segment has room for: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ten.errors import SpecError
from ten.model.memory import rows_at_once
from ten.train.settings import DEFAULT_SEGMENT

if TYPE_CHECKING:
    from ten.model.lm import Carry, LanguageModel, Recompute
    from ten.model.memory import Level

Autocast = Callable[[], AbstractContextManager[None]]
_RECOMPUTE: dict[Level, Recompute] = {
    "keep": "nothing", "select": "cheap", "recompute": "blocks", "segments": "cheap",
}  # fmt: skip


Around = Callable[[bool], AbstractContextManager[None]]
"""A context for one forward and backward pass, made with whether it is the last of its micro-batch."""


class Backward:
    """Adds up gradients at the first of `levels`, which `step_down` leaves for the next."""

    def __init__(self, levels: Sequence[Level] = ("keep",), segment: int = DEFAULT_SEGMENT) -> None:
        self._levels = tuple(levels)
        self._segment = segment

    @property
    def level(self) -> Level:
        """The level at work."""
        return self._levels[0]

    @property
    def segment(self) -> int | None:
        """Tokens worked on at a time; None: all."""
        return self._segment if self.level == "segments" else None

    def step_down(self) -> Level:
        """Take the next level from now on. Raises `exhausted` where this was the last."""
        if len(self._levels) == 1:
            raise self.exhausted()
        self._levels = self._levels[1:]
        return self.level

    def exhausted(self) -> SpecError:
        """The error that says what else saves memory."""
        cure = "lower train.segment, or" if self.segment else "set train.memory to segments, or"
        return SpecError(
            f"out of device memory with train.memory at {self.level}; {cure} lower train.micro_batch_rows (and "
            "raise train.gradient_accumulation by as much: the batch stays the same)"
        )

    def __call__(
        self,
        model: LanguageModel,
        tokens: Tensor,
        starts: Tensor,
        autocast: Autocast,
        weights: Tensor | None = None,
        around: Around = lambda _last: nullcontext(),
    ) -> Tensor:
        """Summed nats of tokens (B, T + 1) with starts and weights (B, T), off the graph; their gradients are added."""
        model.recompute = _RECOMPUTE[self.level]
        if self.segment:
            nats = torch.zeros((), dtype=torch.float64, device=tokens.device)
            groups = spans_of(len(starts), rows_at_once(starts.shape[1], self.segment))
            for group in groups:
                share = None if weights is None else weights[group]
                within = around if group is groups[-1] else lambda _last: around(False)
                nats += _by_segments(model, tokens[group], starts[group], share, autocast, within, self.segment)
            return nats
        with around(True):
            with autocast():
                loss = model.loss(tokens, starts, weights)
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def _by_segments(
    model: LanguageModel,
    tokens: Tensor,
    starts: Tensor,
    weights: Tensor | None,
    autocast: Autocast,
    around: Around,
    segment: int,
) -> Tensor:
    carries: list[Carry | None] = [None]
    spans = spans_of(starts.shape[1], segment)
    for span in spans[:-1]:
        with torch.no_grad(), autocast():
            carries.append(model(tokens[:, span], starts[:, span], carries[-1])[1])
    nats = torch.zeros((), dtype=torch.float64, device=tokens.device)
    owed: list[Tensor | None] = []
    for span in reversed(spans):
        entering = carries.pop()
        handed = [] if entering is None else [tensor.requires_grad_() for layer in entering.layers for tensor in layer]
        share = None if weights is None else weights[:, span]
        with around(span is spans[0]):
            with autocast():
                loss, leaving = model.loss_and_carry(tokens[:, _and_next(span)], starts[:, span], share, entering)
            nats += loss.detach()
            _run_back(loss, leaving, owed)
        owed = [tensor.grad for tensor in handed]
    return nats


def _run_back(loss: Tensor, leaving: Carry, owed: Sequence[Tensor | None]) -> None:
    """The backward pass of a segment from its loss and from the gradients `owed` to the carry it leaves."""
    outputs = [tensor for layer in leaving.layers for tensor in layer] if owed else []
    pairs = [(out, grad) for out, grad in zip(outputs, owed, strict=True) if out.requires_grad and grad is not None]
    torch.autograd.backward([loss, *(out for out, _ in pairs)], [None, *(grad for _, grad in pairs)])


def spans_of(time: int, segment: int) -> list[slice]:
    """Segments of a row of `time` tokens, the last one perhaps shorter."""
    return [slice(start, min(start + segment, time)) for start in range(0, time, segment)]


def _and_next(span: slice) -> slice:
    """A span of inputs with the last one's target."""
    return slice(span.start, span.stop + 1)
