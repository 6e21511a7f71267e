"""A model of three small tensors and batches that are a pure function of the step: ten lines each."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ten.data.cursor import Cursor
from ten.data.held_out import HeldOut
from ten.data.loader import MicroBatch, StepBatch
from ten.data.supply import Supply
from ten.train.backward import Backward
from ten.train.checkpoint import Checkpoints, Position
from ten.train.device import autocast, resolve_precision
from ten.train.distributed import World
from ten.train.interval import Interval
from ten.train.mending import Mending, mend_nothing
from ten.train.mirror import Mirror
from ten.train.optim import build_optimizer, narrow_weights
from ten.train.schedule import open_schedule
from ten.train.settings import CheckpointSettings, OptimizerName, TrainSettings, Weights
from ten.train.spikes import Spikes
from ten.train.step import Stepper
from ten.train.stopping import StopRequest
from ten.train.training import Training

if TYPE_CHECKING:
    from ten.model.lm import LanguageModel

T, V, D = 6, 11, 5


class TinyModel(nn.Module):
    """Embedding, dropout (so that random state matters), a linear layer, a head tied to the embedding."""

    def __init__(self, seed: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Parameter(torch.randn(V, D, generator=generator))
        self.mix = nn.Linear(D, D)
        with torch.no_grad():
            self.mix.weight.copy_(torch.randn(D, D, generator=generator))
            self.mix.bias.zero_()
        self.dropout = dropout

    def forward(self, tokens: Tensor, starts: Tensor | None = None, carry: None = None) -> tuple[Tensor, None]:
        return F.dropout(self.embedding[tokens], self.dropout, self.training), None

    def loss(self, tokens: Tensor, starts: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        hidden = self(tokens[:, :-1])[0].flatten(0, 1)
        return self.head_loss(hidden, tokens[:, 1:].flatten(), None if weights is None else weights.flatten())

    def head_loss(self, hidden: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        nats = F.cross_entropy((self.mix(hidden) @ self.embedding.T).float(), targets, reduction="none")
        return (nats if weights is None else nats * weights).sum()


def tiny_model(seed: int = 0, dropout: float = 0.1) -> LanguageModel:
    """The tiny model, for signatures that ask for the real one."""
    return cast("LanguageModel", TinyModel(seed, dropout))


def rows_of_step(step: int, rows: int) -> Tensor:
    """(rows, T + 1) tokens of a step, the same for every way to deal them out."""
    return torch.randint(0, V, (rows, T + 1), generator=torch.Generator().manual_seed(step))


def step_batch(step: int, *, rows: int = 8, micro_batches: int = 1, rank: int = 0, ranks: int = 1) -> StepBatch:
    """Rank `rank`'s share of the global batch of `rows` rows."""
    dealt = rows_of_step(step, rows).chunk(micro_batches * ranks)[rank::ranks]
    micro = tuple(MicroBatch(tokens=part, starts=torch.zeros(len(part), T, dtype=torch.bool)) for part in dealt)
    digests = tuple(hashlib.sha256(row.numpy().tobytes()).digest() for part in dealt for row in part)
    cursor = Cursor(fingerprint="f", seed=0, seq_len=T, rows=(step + 1) * rows, tokens=(step + 1) * rows * T)
    return StepBatch(micro_batches=micro, row_digests=digests, cursor=cursor)


def batches(position: Position, *, rank: int = 0, ranks: int = 1) -> Iterator[StepBatch]:
    """All batches after a position."""
    step = position.step
    while True:
        yield step_batch(step, rank=rank, ranks=ranks)
        step += 1


@dataclass
class HeldOutBatch:
    tokens: Tensor
    starts: Tensor
    weights: Tensor


class TinyHeldOut:
    """Two fixed micro-batches; the second's last row is padding."""

    text_bytes = 100
    tokens = 5 * T
    seq_len = T

    def __iter__(self) -> Iterator[HeldOutBatch]:
        for number in range(2):
            weights = torch.ones(3, T)
            if number:
                weights[-1] = 0
            yield HeldOutBatch(rows_of_step(10**6 + number, 3), torch.zeros(3, T, dtype=torch.bool), weights)


def open_training(
    folder: Path,
    *,
    steps: int,
    model: LanguageModel | None = None,
    world: World | None = None,
    stop: StopRequest | None = None,
    keep_last: int = 3,
    resume: str = "auto",
    checkpoint_every: str | int = 2,
    evaluate_every: str | int = 3,
    source: Callable[[Position], Iterator[StepBatch]] = batches,
    supply: Callable[[], Supply | None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    mirror: Mirror | None = None,
    backward: Backward | None = None,
    optimizer_name: OptimizerName = "adamw",
    weights: Weights = "fp32",
    spikes: Spikes | None = None,
    rolls_back: bool = False,
) -> Training:
    """A whole attempt over the tiny parts, resumed from whatever `folder` holds."""
    settings = TrainSettings(steps=steps, learning_rate=1e-2, warmup=0.1, optimizer=optimizer_name, weights=weights)
    total = steps * 8 * T
    world, stop, model = world or World(), stop or StopRequest(), model or tiny_model()
    narrow_weights(model, settings, {"mix.bias"})
    optimizer = build_optimizer(model, settings, {"mix.bias"})
    checkpoints = Checkpoints(
        folder / "checkpoints",
        model=model,
        optimizer=optimizer,
        settings=CheckpointSettings(keep_last=keep_last, resume=resume),  # type: ignore[arg-type]
        spec={"name": "tiny"},
        world=world,
        mirror=mirror,
    )
    torch.manual_seed(1)
    position = checkpoints.restore()
    return Training(
        stepper=Stepper(
            model=model,
            optimizer=optimizer,
            world=world,
            autocast=partial(autocast, resolve_precision("auto", world.device, weights), world.device),
            clip_norm=1.0,
            stop=stop,
            backward=backward or Backward(),
            spikes=spikes,
        ),
        schedule=open_schedule(settings, total_tokens=total, width=D),
        loader=source(position),
        held_out=cast(HeldOut, TinyHeldOut()),
        checkpoints=checkpoints,
        metrics_path=folder / "metrics.jsonl",
        position=position,
        total_tokens=total,
        evaluate_every=Interval.parse(evaluate_every),
        checkpoint_every=Interval.parse(checkpoint_every),
        stop=stop,
        supply=supply,
        clock=clock,
        mend=mend_nothing
        if spikes is None
        else Mending(spikes, checkpoints, rolls_back=rolls_back, tells=world.is_first),
    )


def start_attempt(folder: Path, steps: int, fault: str, *kinds: str, **environment: str) -> subprocess.Popen[str]:
    """The same as a process of its own (tests/train/attempt.py); `kinds` are optimizer and type of the weights."""
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.attempt", str(folder), str(steps), fault, *kinds],
        cwd=root,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_steps(folder: Path, steps: int) -> None:
    """Wait until a running attempt has written so many lines of metrics."""
    path = folder / "metrics.jsonl"
    for _ in range(1200):
        if path.exists() and path.read_bytes().count(b"\n") >= steps:
            return
        time.sleep(0.05)
    raise TimeoutError(f"{path} did not reach {steps} steps")
