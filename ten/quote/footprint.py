"""Footprint: what a job takes of a GPU's memory, whether a card has that, and which settings make it less. No torch."""

import msgspec

from ten.hardware import Gpu
from ten.model.memory_table import LevelMemory, memory_table
from ten.model.presets import ModelConfig
from ten.train.checkpoint_size import optimizer_bytes, weight_bytes
from ten.train.settings import TrainSettings

_LEAST_SEGMENT, _MOST_ROWS = 128, 4096
"""Bounds of the settings that are tried."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """What decides a job's memory."""

    config: ModelConfig
    vocabulary: int
    seq_len: int
    train: TrainSettings

    def table(self, gpus: int = 1) -> tuple[LevelMemory, ...]:
        """Bytes of every level on one of so many GPUs, fastest first; they share the model out where they may."""
        train = self.train
        ranks = gpus if train.ranks == "auto" else min(gpus, train.ranks)
        return memory_table(
            self.config,
            self.vocabulary,
            seq_len=self.seq_len,
            micro_batch_rows=train.micro_batch_rows,
            segment=train.segment,
            precision=train.precision,
            accumulates=train.gradient_accumulation > 1,
            weight_bytes=weight_bytes(self.config, self.vocabulary, train),
            optimizer_bytes=optimizer_bytes(self.config, self.vocabulary, train),
            shards=1 if train.shard == "replicate" else ranks,
        )

    def level_on(self, card: Gpu, gpus: int) -> LevelMemory | None:
        """The fastest level that the job may use and the card has the memory for; None for none."""
        return next((row for row in self._allowed(gpus) if card.name in row.cards), None)

    def least(self, gpus: int) -> int:
        """Bytes of the most modest level that the job may use."""
        return min(row.bytes for row in self._allowed(gpus))

    def cure(self, card: Gpu, gpus: int) -> tuple[str, ...]:
        """Settings with which the card would have the memory, the least change first tried; none where none helps.

        Fewer rows at a time, with as many more micro-batches, are the same steps.
        """
        ways: list[dict[str, str | int]] = [{"memory": "auto"}] if self.train.memory != "auto" else []
        rows = self.train.micro_batch_rows * self.train.gradient_accumulation
        fewer: list[dict[str, str | int]] = [
            {"micro_batch_rows": some, "gradient_accumulation": rows // some}
            for some in range(min(self.train.micro_batch_rows - 1, _MOST_ROWS), 0, -1)
            if rows % some == 0
        ]
        halves = _halves(min(self.train.segment, self.seq_len))
        segments: list[dict[str, str | int]] = [{"segment": length} for length in halves if length >= _LEAST_SEGMENT]
        ways += [*fewer, *segments, *(fewer[-1] | shorter for shorter in segments if fewer)]
        for way in ways:
            changed = msgspec.structs.replace(self.train, **way)
            if msgspec.structs.replace(self, train=changed).level_on(card, gpus) is not None:
                return tuple(f"train.{name}={value}" for name, value in way.items())
        return ()

    def _allowed(self, gpus: int) -> list[LevelMemory]:
        return [row for row in self.table(gpus) if self.train.memory in ("auto", row.level)]


def _halves(length: int) -> list[int]:
    """length/2, length/4, …, 1."""
    return [length >> power for power in range(1, length.bit_length())]
