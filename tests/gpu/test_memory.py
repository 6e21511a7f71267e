"""On a real card: what training takes is what the formula says, and segments take less on longer rows."""

from collections.abc import Iterator

import pytest
import torch

from ten.model.lm import LanguageModel
from ten.model.memory import LEVELS, Level, training_memory
from ten.model.presets import ModelSettings, resolve
from ten.train.backward import Backward
from ten.train.device import autocast
from ten.train.optim import build_optimizer
from ten.train.settings import TrainSettings

pytestmark = pytest.mark.gpu
VOCABULARY, ROWS, TIME, SEGMENT = 50257, 2, 4096, 1024
SHAPES = {
    "wide": ModelSettings(layers=6, width=1024, eigenstates=256, mlp_width=2752),
    "deep": ModelSettings(layers=16, width=640, eigenstates=160, mlp_width=1664),
    "matrix": ModelSettings(variant="matrix", layers=6, width=1024, eigenstates=256, mlp_width=2752),
    "paper": ModelSettings(variant="paper", layers=6, width=1024, eigenstates=128),
}


@pytest.fixture
def device() -> Iterator[torch.device]:
    """A card with nothing of ours on it, before and after."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.cuda.empty_cache()
    yield torch.device("cuda")
    torch.cuda.empty_cache()


def peak(settings: ModelSettings, level: Level, device: torch.device) -> int:
    """Bytes that tensors take at most in the second of two steps of two micro-batches."""
    model = LanguageModel(resolve(settings), VOCABULARY).to(device)
    optimizer = build_optimizer(model, TrainSettings(learning_rate=1e-4), model.no_decay_names())
    backward = Backward((level,), SEGMENT)
    tokens = torch.randint(VOCABULARY, (ROWS, TIME + 1), device=device)
    starts = torch.rand(ROWS, TIME, device=device) < 0.001
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats(device)
        optimizer.zero_grad()
        for _ in range(2):
            backward(model, tokens, starts, lambda: autocast("bf16", device))
        optimizer.step()
    return torch.cuda.max_memory_allocated(device)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_estimate_is_within_a_tenth(name: str, level: Level, device: torch.device) -> None:
    before = torch.cuda.memory_allocated(device)
    estimate = training_memory(
        resolve(SHAPES[name]), VOCABULARY,
        seq_len=TIME, micro_batch_rows=ROWS, level=level, segment=SEGMENT, precision="bf16",
    )  # fmt: skip
    assert estimate.allocated == pytest.approx(peak(SHAPES[name], level, device) - before, rel=0.1)


def test_memory_of_segments_does_not_grow_with_the_row(device: torch.device) -> None:
    model = LanguageModel(resolve(SHAPES["deep"]), VOCABULARY).to(device)
    backward, found = Backward(("segments",), SEGMENT), []
    for time in (4 * SEGMENT, 32 * SEGMENT):
        model.zero_grad()
        tokens = torch.randint(VOCABULARY, (1, time + 1), device=device)
        starts = torch.zeros(1, time, dtype=torch.bool, device=device)
        torch.cuda.reset_peak_memory_stats(device)
        backward(model, tokens, starts, lambda: autocast("bf16", device))
        found.append(torch.cuda.max_memory_allocated(device))
    assert found[1] < 1.05 * found[0]


def test_a_real_lack_of_memory_leaves_room_for_the_next_level(device: torch.device) -> None:
    model = LanguageModel(resolve(SHAPES["deep"]), VOCABULARY).to(device)
    tokens = torch.randint(VOCABULARY, (ROWS, TIME + 1), device=device)
    starts = torch.zeros(ROWS, TIME, dtype=torch.bool, device=device)
    limit = training_memory(
        resolve(SHAPES["deep"]), VOCABULARY,
        seq_len=TIME, micro_batch_rows=ROWS, level="select", segment=SEGMENT, precision="bf16",
    ).total  # fmt: skip
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(device).total_memory)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            Backward(("keep",))(model, tokens, starts, lambda: autocast("bf16", device))
        model.zero_grad()
        torch.cuda.empty_cache()
        assert Backward(("select",))(model, tokens, starts, lambda: autocast("bf16", device)).isfinite()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
