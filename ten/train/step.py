"""One optimizer step: forward and backward over the micro-batches, the sum over ranks, clipping, the update."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ten.errors import TrainingDiverged
from ten.train import sharding
from ten.train.backward import Autocast, Backward
from ten.train.device import lacks_memory
from ten.train.distributed import World
from ten.train.optimizer import Optimizer
from ten.train.prefetch import prefetched
from ten.train.spikes import Spikes

if TYPE_CHECKING:
    from ten.data.loader import StepBatch
    from ten.model.lm import LanguageModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one update saw, over all ranks."""

    loss: float
    """Nats per token, before the update."""
    grad_norm: float
    """2-norm of the gradient of `loss`, before clipping."""
    tokens: int
    skipped: str | None = None
    """What stood out so far that the weights were left as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepper:
    """Takes optimizer steps on `model`; `stop` is polled before every micro-batch.

    The model's loss is a sum of nats, and sums are divided by the number of tokens of *all* micro-batches of *all*
    ranks: one update is the same for every way to split its rows. No rank enters a collective before its last
    micro-batch, so a stop or a lack of memory that only one rank has seen is agreed on by all at the same place. Where
    the passes themselves are collectives (`World.in_step`), the ranks agree on a stop before each of them.
    """

    model: LanguageModel
    optimizer: Optimizer
    world: World
    autocast: Autocast
    clip_norm: float
    stop: Callable[[], bool]
    backward: Backward = field(default_factory=Backward)
    spikes: Spikes | None = None
    """Which steps are not taken; None: all are."""

    def take(self, batch: StepBatch | None, *, step: int, learning_rate: float) -> StepResult | None:
        """One update, or None when a rank was asked to stop; then nothing has changed. Without a batch: ask to stop.

        A rank that runs out of device memory makes all ranks begin the step anew at the next level of memory. Raises,
        on all ranks and with the weights untouched, SpecError when there is none, and TrainingDiverged when loss or
        gradient is not finite.
        """
        self.optimizer.zero_grad()
        nats, tokens, stopped, short = self.world.sum(self._accumulate(batch)).tolist()
        if stopped:
            self.optimizer.zero_grad()
            sharding.forget_gradients(self.model, self.world)
            return None
        if short:
            self._step_down(step)
            return self.take(batch, step=step, learning_rate=learning_rate)
        loss = nats / tokens
        self._require_finite(loss, "loss", step, learning_rate)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.world.sum_gradients(parameters)
        grad_norm = self._normalise([sharding.local(p.grad) for p in parameters], tokens)
        self._require_finite(grad_norm, "norm of the gradient", step, learning_rate)
        # Loss and norm are the same on every rank, and here already: NaN must be seen before the weights are.
        skipped = self.spikes.judge(loss, grad_norm) if self.spikes is not None else None
        if skipped is None:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.step()
        return StepResult(loss=loss, grad_norm=grad_norm, tokens=int(tokens), skipped=skipped)

    def _accumulate(self, batch: StepBatch | None) -> Tensor:
        """(4,) fp64 of this rank: nats, tokens, 1 if asked to stop, 1 if out of memory; their gradients add up."""
        device = self.world.device
        nats = torch.zeros((), dtype=torch.float64, device=device)
        tokens = 0
        stopped, short = batch is None and self.world.agree(True), False
        micro_batches = batch.micro_batches if batch else ()
        for number, micro in enumerate(prefetched(micro_batches, device), 1):
            if self.world.agree(self.stop()):
                stopped = True
                break
            around = partial(self._around, number == len(micro_batches))
            try:
                nats += self.backward(self.model, micro.tokens, micro.starts, self.autocast, around=around)
            except RuntimeError as error:
                if not lacks_memory(error):
                    raise
                if self.world.in_step:  # the others are inside of a collective
                    raise self.backward.exhausted() from error
                short = True
                break
            tokens += micro.starts.numel()
        counts = torch.tensor([tokens, float(stopped), float(short)], dtype=torch.float64, device=device)
        return torch.cat([nats[None], counts])

    def _around(self, last_micro_batch: bool, last_pass: bool) -> AbstractContextManager[None]:
        """What a backward pass runs in: only from within the last one of a step do gradients go to other ranks."""
        return sharding.accumulating(self.model, self.world, is_last=last_micro_batch and last_pass)

    def _step_down(self, step: int) -> None:
        """Forget the step's gradients, give back its memory, and take the next level."""
        self.optimizer.zero_grad()
        gc.collect()
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()
        before = self.backward.level
        after = self.backward.step_down()
        if self.world.is_first:
            log.warning("step %d: out of memory with train.memory at %s; begun anew at %s", step, before, after)

    def _normalise(self, gradients: list[Tensor], tokens: float) -> float:
        """Divide summed gradients by `tokens` and clip them; the norm per token before clipping."""
        total = torch.nn.utils.get_total_norm(gradients)
        if self.world.in_step:
            total = self.world.sum(total.double().square()).sqrt()
        norm = float(total) / tokens
        clip = min(1.0, self.clip_norm / (norm + 1e-6)) if self.clip_norm else 1.0
        if math.isfinite(norm):
            torch._foreach_mul_(gradients, clip / tokens)
        return norm

    def _require_finite(self, value: float, what: str, step: int, learning_rate: float) -> None:
        if math.isfinite(value):
            return
        gradients = [(n, sharding.local(p.grad)) for n, p in self.model.named_parameters() if p.grad is not None]
        wrong = self.world.sum(torch.tensor([0.0 if g.isfinite().all() else 1.0 for _, g in gradients])).tolist()
        where = next((name for (name, _), count in zip(gradients, wrong, strict=True) if count), None)
        self.optimizer.zero_grad()
        raise TrainingDiverged(
            f"step {step}: the {what} is {value} at learning rate {learning_rate:.3g}"
            + (f" (first in the gradient of {where})" if where else "")
            + "; this step changed no weight. Lower train.learning_rate, lengthen train.warmup, lower train.clip_norm"
            " or set train.precision=fp32, then run again from the last checkpoint"
        )
