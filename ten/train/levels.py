"""Which levels of `train.memory` a run may use on its device: the fastest that fits by formula, and those below it."""

import logging
from typing import Literal

import torch

from ten.model.memory import LEVELS, Level, MemoryEstimate, ladder, training_memory
from ten.model.presets import ModelConfig
from ten.train import main_memory
from ten.train.backward import Backward
from ten.train.checkpoint_size import optimizer_bytes, weight_bytes
from ten.train.distributed import World
from ten.train.ranks import number
from ten.train.settings import TrainSettings
from ten.units import format_bytes

log = logging.getLogger(__name__)
_CPU_SHARE = 0.8


def open_backward(
    settings: TrainSettings,
    config: ModelConfig,
    vocabulary: int,
    *,
    seq_len: int,
    micro_batches: int,
    precision: Literal["fp32", "bf16"],
    world: World,
) -> Backward:
    """The backward pass that `train.memory` asks for; with `auto`, ranks agree on the most modest of their choices."""
    if settings.memory != "auto":
        return Backward((settings.memory,), settings.segment)
    estimates = {
        level: training_memory(
            config, vocabulary,
            seq_len=seq_len, micro_batch_rows=settings.micro_batch_rows, level=level, segment=settings.segment,
            precision=precision, accumulates=micro_batches > 1,
            weight_bytes=weight_bytes(config, vocabulary, settings),
            optimizer_bytes=optimizer_bytes(config, vocabulary, settings),
            shards=world.size if world.in_step else 1,
            device="cuda" if world.device.type == "cuda" else "cpu",
        )
        for level in LEVELS
    }  # fmt: skip
    available = available_bytes(world.device)
    levels = ladder(estimates)
    levels = levels[_last_of_all(world, fitting(levels, estimates, available)) :]
    if world.is_first and available is not None:
        _tell(levels[0], estimates[levels[0]].total, available)
    return Backward(levels, settings.segment)


def fitting(levels: tuple[Level, ...], estimates: dict[Level, MemoryEstimate], available: int | None) -> int:
    """Index of the first level that fits into `available` bytes; the last where none does, 0 where nobody knows."""
    if available is None:
        return 0
    fits = (index for index, level in enumerate(levels) if estimates[level].total <= available)
    return next(fits, len(levels) - 1)


def available_bytes(device: torch.device) -> int | None:
    """Memory of `device` that this process has or can get; of main memory a careful share. None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    known = main_memory.available_bytes()
    return None if known is None else round(_CPU_SHARE * known) // number("LOCAL_WORLD_SIZE", 1)


def _last_of_all(world: World, index: int) -> int:
    votes = torch.zeros(len(LEVELS), dtype=torch.int64, device=world.device)
    votes[index] = 1
    return int(world.sum(votes).nonzero().max())


def _tell(level: Level, wanted: int, available: int) -> None:
    if wanted > available:
        log.warning(
            "training wants about %s of device memory even with train.memory at %s, and %s are free: lower "
            "train.micro_batch_rows or train.segment if it runs out",
            format_bytes(wanted), level, format_bytes(available),
        )  # fmt: skip
    elif level != "keep":
        log.info(
            "train.memory: %s (about %s of %s of device memory)", level, format_bytes(wanted), format_bytes(available)
        )
