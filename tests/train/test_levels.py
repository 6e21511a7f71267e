"""Which level a run starts at: by what the device has, agreed among ranks, as modest as its knowledge."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from ten.model.memory import LEVELS, Level, MemoryEstimate
from ten.model.presets import PRESETS
from ten.train import levels
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


def test_main_memory_is_what_linux_and_the_container_leave(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(levels, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(levels, "_CGROUP", tmp_path)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    cpu = torch.device("cpu")
    assert available_bytes(cpu) is None
    (tmp_path / "meminfo").write_text("MemTotal:  16000000 kB\nMemAvailable:   8000000 kB\n")
    assert available_bytes(cpu) == round(0.8 * 8000000 * 1024)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert available_bytes(cpu) == round(0.8 * 8000000 * 1024)
    (tmp_path / "memory.max").write_text("6000\n")
    assert available_bytes(cpu) == 4000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert available_bytes(cpu) == 1000
