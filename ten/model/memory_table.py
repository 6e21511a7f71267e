"""Which level of `train.memory` takes how much for a job, and which known cards have that. No torch."""

from typing import Literal

import msgspec

from ten.hardware import known_gpus
from ten.model.memory import LEVELS, Level, training_memory
from ten.model.presets import ModelConfig

_USABLE = 0.93
"""Of a card's memory, the part left by error correction where that is on."""


class LevelMemory(msgspec.Struct, frozen=True, kw_only=True):
    """One level of a job."""

    level: Level
    bytes: int
    """On one GPU, all that training takes."""
    cards: tuple[str, ...]
    """Known cards that have as much, smallest first."""
    card_bytes: int | None
    """Memory of the smallest of them."""


def memory_table(
    config: ModelConfig,
    vocabulary: int,
    *,
    seq_len: int,
    micro_batch_rows: int,
    segment: int,
    precision: Literal["auto", "fp32", "bf16"],
    accumulates: bool,
    weight_bytes: int | None = None,
    optimizer_bytes: int | None = None,
    shards: int = 1,
) -> tuple[LevelMemory, ...]:
    """All levels of a job on one of `shards` GPUs that share the model out, fastest first."""
    return tuple(
        _fitting(
            level,
            training_memory(
                config,
                vocabulary,
                seq_len=seq_len,
                micro_batch_rows=micro_batch_rows,
                level=level,
                segment=segment,
                precision="fp32" if precision == "fp32" else "bf16",
                accumulates=accumulates,
                weight_bytes=weight_bytes,
                optimizer_bytes=optimizer_bytes,
                shards=shards,
            ).total,
        )
        for level in LEVELS
    )


def describe_level(row: LevelMemory) -> str:
    """A level for people: "select      33.7 GiB a GPU: A100 40GB or larger"."""
    smallest = [card.name for card in known_gpus() if card.memory_bytes == row.card_bytes]
    larger = " or larger" if len(row.cards) > len(smallest) else ""
    cards = ", ".join(smallest) + larger if smallest else "no known card"
    return f"{row.level:<9} {row.bytes / 2**30:6.1f} GiB a GPU: {cards}"


def _fitting(level: Level, wanted: int) -> LevelMemory:
    cards = sorted(
        (card for card in known_gpus() if wanted <= _USABLE * card.memory_bytes), key=lambda card: card.memory_bytes
    )
    return LevelMemory(
        level=level,
        bytes=wanted,
        cards=tuple(card.name for card in cards),
        card_bytes=cards[0].memory_bytes if cards else None,
    )
