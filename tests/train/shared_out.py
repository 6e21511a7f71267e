"""One rank that trains a small language model: `python -m tests.train.shared_out FOLDER shard|replicate`.

Ranks come from torchrun's variables. Each writes what it saw, beside what a process alone sees, to FOLDER/RANK.json.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from ten.data.held_out import HeldOut
from ten.data.loader import MicroBatch, StepBatch
from ten.errors import TrainingDiverged
from ten.model.lm import LanguageModel
from ten.model.presets import ModelSettings, resolve
from ten.train import sharding
from ten.train.checkpoint import Checkpoints, Position
from ten.train.distributed import World, open_world
from ten.train.evaluate import held_out_loss
from ten.train.named_tensors import load_weights, model_tensors
from ten.train.optim import build_optimizer
from ten.train.settings import CheckpointSettings, Sharding, TrainSettings
from ten.train.step import Stepper
from tests.train.tiny import HeldOutBatch, step_batch

V, T, MICRO_BATCHES = 37, 9, 2


def main(folder: Path, choice: Sharding) -> None:
    with open_world(torch.device("cpu"), timeout_s=60.0) as plain:
        ours, world = build(choice, plain, seed=plain.rank)
        alone, _ = build(choice, World(), seed=0)
        seen: dict[str, Any] = {"in_step": world.in_step}
        seen["dynamo"] = "torch._dynamo" in sys.modules
        seen["held"] = sum(sharding.local(p).numel() for p in ours.model.parameters())
        seen["parameters"] = sum(p.numel() for p in alone.model.parameters())
        seen["steps"] = [take(own, number) for number in range(3) for own in (ours, alone)]
        seen["abandoned"] = abandon(ours)
        seen["steps"] += [take(own, 3) for own in (ours, alone)]
        seen["apart"] = apart(ours.model, alone.model)
        seen["scores"] = [score(own) for own in (ours, alone)]
        seen["checkpoints"] = save_and_load(ours, choice, plain, folder)
        seen["diverged"] = diverge(ours)
    (folder / f"{world.rank}.json").write_text(json.dumps(seen))


def build(choice: Sharding, world: World, seed: int) -> tuple[Stepper, World]:
    torch.manual_seed(seed)
    # Sizes that no number of ranks divides, and fewer heads than ranks: some hold nothing of a parameter.
    config = resolve(ModelSettings(config="nano", layers=2, width=20, eigenstates=6, heads=2, mlp_width=28))
    model = LanguageModel(config, V)
    world = sharding.open_model(model, choice, world)
    optimizer = build_optimizer(model, TrainSettings(), model.no_decay_names())
    return Stepper(
        model=model, optimizer=optimizer, world=world, autocast=nullcontext, clip_norm=0.5, stop=lambda: False
    ), world


def batch(number: int, world: World, ranks: int) -> StepBatch:
    """A rank's micro-batches of a step; all ranks' where it is alone."""
    generator = torch.Generator().manual_seed(number)
    rows = torch.randint(0, V, (4 * ranks * MICRO_BATCHES, T + 1), generator=generator)
    parts = rows.chunk(ranks * MICRO_BATCHES)[world.rank :: world.size]
    micro = tuple(MicroBatch(tokens=part, starts=torch.zeros(len(part), T, dtype=torch.bool)) for part in parts)
    return replace(step_batch(number), micro_batches=micro)


def take(own: Stepper, number: int) -> list[float]:
    result = own.take(batch(number, own.world, ranks()), step=number, learning_rate=1e-2)
    assert result is not None
    return [result.loss, result.grad_norm, result.tokens]


def ranks() -> int:
    return torch.distributed.get_world_size()


def abandon(ours: Stepper) -> bool:
    """Whether a stop that the last rank alone sees before its second micro-batch ends the step on this one."""
    polls: Iterator[int] = iter(range(10))
    asked = replace(ours, stop=lambda: next(polls) == 1 and ours.world.rank == ours.world.size - 1)
    return asked.take(batch(9, ours.world, ranks()), step=9, learning_rate=1.0) is None


def apart(ours: LanguageModel, alone: LanguageModel) -> float:
    """The largest difference between weights."""
    theirs = model_tensors(alone)
    return max(float((sharding.whole(t) - theirs[name]).abs().max()) for name, t in model_tensors(ours).items())


class Text:
    """One micro-batch more than there are ranks."""

    text_bytes = 100
    seq_len = T

    def __iter__(self) -> Iterator[HeldOutBatch]:
        for number in range(ranks() + 1):
            rows = torch.randint(0, V, (3, T + 1), generator=torch.Generator().manual_seed(100 + number))
            yield HeldOutBatch(rows, torch.zeros(3, T, dtype=torch.bool), torch.ones(3, T))


def score(own: Stepper) -> float | None:
    text = cast(HeldOut, Text())
    loss = held_out_loss(own.model, text, world=own.world, autocast=nullcontext)
    return None if loss is None else loss.bits_per_byte


def save_and_load(ours: Stepper, choice: Sharding, plain: World, folder: Path) -> list[str]:
    """Checkpoints of the same state: of these ranks, of them after a restore, and of one process after a restore."""
    written = checkpoints(folder / "ranks", ours).save(Position(step=4))
    plain.barrier()
    again, _ = build(choice, plain, seed=50)
    checkpoints(folder / "ranks", again).restore()
    found = [written, checkpoints(folder / "again", again).save(Position(step=4))]
    if plain.is_first:
        alone, _ = build("auto", World(), seed=60)
        checkpoints(folder / "ranks", alone).restore()
        found.append(checkpoints(folder / "alone", alone).save(Position(step=4)))
        load_weights(alone.model, written)
    return [str(path) for path in found]


def checkpoints(folder: Path, own: Stepper) -> Checkpoints:
    return Checkpoints(
        folder, model=own.model, optimizer=own.optimizer, settings=CheckpointSettings(), spec={}, world=own.world
    )


def diverge(ours: Stepper) -> list[str]:
    """What is said on every rank when the last one has a weight that is no number, and what changed."""
    if ours.world.rank == ours.world.size - 1:
        sharding.local(model_tensors(ours.model)["norm.weight"])[-1] = float("nan")
    before = {name: sharding.local(t).clone() for name, t in model_tensors(ours.model).items()}
    try:
        ours.take(batch(5, ours.world, ranks()), step=5, learning_rate=1.0)
    except TrainingDiverged as error:
        after = {name: sharding.local(t) for name, t in model_tensors(ours.model).items()}
        changed = [name for name in before if not before[name].equal(after[name]) and name != "norm.weight"]
        return [str(error), *changed]
    return []


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), cast(Sharding, sys.argv[2]))
