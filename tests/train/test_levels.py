"""Which level a run starts at: by what the device has, agreed among ranks, as modest as its knowledge."""

import logging
from typing import Any

import pytest
import torch

from ten.model.memory import LEVELS, Level, MemoryEstimate
from ten.model.presets import PRESETS
from ten.train import levels, main_memory
from ten.train.backward import Backward
from ten.train.distributed import World
from ten.train.levels import available_bytes, fitting, open_backward
from ten.train.settings import TrainSettings

GIB = 2**30
ZERO = dict.fromkeys(MemoryEstimate.__struct_fields__, 0)
ESTIMATES: dict[Level, MemoryEstimate] = {
    level: MemoryEstimate(**(ZERO | {"activations": size}))
    for level, size in zip(LEVELS, (90, 70, 50, 30), strict=True)
}


@pytest.mark.parametrize(("available", "index"), [(None, 0), (90, 0), (89, 1), (50, 2), (49, 3), (29, 3)])
def test_the_fastest_level_that_fits_is_taken(available: int | None, index: int) -> None:
    assert fitting(LEVELS, ESTIMATES, available) == index


def opened(
    monkeypatch: pytest.MonkeyPatch, available: int | None, world: World | None = None, **fields: Any
) -> Backward:
    monkeypatch.setattr(levels, "available_bytes", lambda device: available)
    return open_backward(
        TrainSettings(micro_batch_rows=1, **fields), PRESETS["large"].config, 50257,
        seq_len=32768, micro_batches=1, precision="bf16", world=world or World(),
    )  # fmt: skip


def test_auto_begins_where_the_formula_says_and_may_step_down(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        backward = opened(monkeypatch, 100 * GIB)
    assert backward.level == "select"
    assert backward.step_down() == "recompute"
    assert backward.step_down() == "segments"
    assert "train.memory: select" in caplog.text
    assert opened(monkeypatch, 10**15).level == "keep"


def test_a_level_with_a_name_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = opened(monkeypatch, GIB, memory="segments", segment=77)
    assert (backward.level, backward.segment) == ("segments", 77)


def test_too_little_for_any_level_is_said_and_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert opened(monkeypatch, GIB).level == "segments"
    assert "and 1.0 GiB are free" in caplog.text


def test_ranks_take_the_most_modest_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    def add_other_rank(self: World, votes: torch.Tensor) -> torch.Tensor:
        votes[2] += 1
        return votes

    monkeypatch.setattr(World, "sum", add_other_rank)
    assert opened(monkeypatch, 10**15).level == "recompute"


def test_ranks_share_most_of_what_main_memory_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(main_memory, "available_bytes", lambda: 5000)
    assert available_bytes(cpu) == 4000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert available_bytes(cpu) == 1000
    monkeypatch.setattr(main_memory, "available_bytes", lambda: None)
    assert available_bytes(cpu) is None
