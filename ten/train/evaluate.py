"""Held-out loss in bits per byte of text: comparable between tokenizers, which nats per token are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ten.errors import DataError, TrainingDiverged
from ten.train.distributed import World
from ten.train.step import Autocast

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut
    from ten.model.lm import LanguageModel


def bits_per_byte(
    model: LanguageModel, held_out: HeldOut, *, world: World, autocast: Autocast, stop: Callable[[], bool]
) -> float | None:
    """Sum of nats over `held_out` / (bytes of its text · ln 2); None when a rank was asked to stop meanwhile.

    Ranks take micro-batches in turn and meet once, at the end. The model returns to the mode it was in.
    """
    if not held_out.text_bytes:
        raise DataError("the held-out text is empty; give a data set with a validation split or more documents")
    training = model.training
    model.eval()
    try:
        nats, stopped = world.sum(_nats(model, held_out, world, autocast, stop)).tolist()
    finally:
        model.train(training)
    if stopped:
        return None
    if not math.isfinite(nats):
        raise TrainingDiverged(f"the held-out loss is {nats}; lower train.learning_rate and run again")
    return float(nats / (held_out.text_bytes * math.log(2)))


@torch.no_grad()
def _nats(
    model: LanguageModel, held_out: HeldOut, world: World, autocast: Autocast, stop: Callable[[], bool]
) -> Tensor:
    """(2,) fp64: this rank's nats, and 1 where it was asked to stop."""
    total = torch.zeros(2, dtype=torch.float64, device=world.device)
    for number, micro in enumerate(held_out):
        if stop():
            total[1] = 1.0
            break
        if number % world.size == world.rank:
            with autocast():
                total[0] += model.loss(
                    micro.tokens.to(world.device), micro.starts.to(world.device), micro.weights.to(world.device)
                )
    return total
