"""A step that runs out of device memory is taken again, whole, at the next level; by all ranks."""

import logging
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ten.data.loader import MicroBatch, StepBatch
from ten.errors import SpecError
from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig
from ten.train import checkpoint_files
from ten.train.backward import Backward
from ten.train.distributed import World
from ten.train.loop import train
from ten.train.metrics import read_metrics
from ten.train.optim import build_optimizer
from ten.train.settings import TrainSettings
from ten.train.step import Stepper, StepResult
from tests.train.memory_fault import fail_once
from tests.train.test_distributed import finish, start_ranks
from tests.train.tiny import open_training, step_batch, tiny_model

CONFIG = ModelConfig(layers=2, width=16, eigenstates=8, mlp_width=32, heads=2, convolution=4, max_memory=32.0)
TIME, VOCABULARY, STEPS, MICRO_BATCHES = 24, 31, 3, 3


def batch(step: int) -> StepBatch:
    generator = torch.Generator().manual_seed(step)
    micro = tuple(
        MicroBatch(
            tokens=torch.randint(VOCABULARY, (2, TIME + 1), generator=generator),
            starts=torch.rand(2, TIME, generator=generator) < 0.1,
        )
        for _ in range(MICRO_BATCHES)
    )
    return StepBatch(micro_batches=micro, row_digests=(), cursor=step_batch(step).cursor)


def run(backward: Backward, fail_at: int | None = None) -> tuple[list[StepResult], list[Tensor]]:
    """Some steps of a small language model, and the weights after them."""
    torch.manual_seed(0)
    model = LanguageModel(CONFIG, VOCABULARY)
    if fail_at is not None:
        fail_once(model, fail_at)
    stepper = Stepper(
        model=model,
        optimizer=build_optimizer(model, TrainSettings(), model.no_decay_names()),
        world=World(),
        autocast=nullcontext,
        clip_norm=1.0,
        stop=lambda: False,
        backward=backward,
    )
    results = [stepper.take(batch(step), step=step, learning_rate=1e-2) for step in range(1, STEPS + 1)]
    return [result for result in results if result is not None], [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("fail_at", [1, 5, 6, 9])
def test_a_step_begun_anew_is_the_undisturbed_one_to_the_bit(fail_at: int, caplog: pytest.LogCaptureFixture) -> None:
    wanted = run(Backward(("keep",)))
    backward = Backward(("keep", "select", "recompute"))
    with caplog.at_level(logging.WARNING):
        found = run(backward, fail_at)
    assert backward.level == "select"
    assert found[0] == wanted[0]
    torch.testing.assert_close(found[1], wanted[1], rtol=0, atol=0)
    step = -(-fail_at // MICRO_BATCHES)
    assert [record.getMessage() for record in caplog.records] == [
        f"step {step}: out of memory with train.memory at keep; begun anew at select"
    ]


def test_the_last_step_down_is_to_segments(caplog: pytest.LogCaptureFixture) -> None:
    wanted = run(Backward(("keep",)))
    backward = Backward(("recompute", "segments"), 10)
    found = run(backward, 4)
    assert backward.level == "segments"
    torch.testing.assert_close([r.loss for r in found[0]], [r.loss for r in wanted[0]], rtol=1e-5, atol=0)


def test_without_another_level_the_run_ends_with_the_way_out_and_no_gradient() -> None:
    model = tiny_model(dropout=0.0)
    fail_once(model, 2)
    stepper = Stepper(
        model=model, optimizer=build_optimizer(model, TrainSettings(), ()), world=World(), autocast=nullcontext,
        clip_norm=0.0, stop=lambda: False,
    )  # fmt: skip
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(SpecError, match=r"out of device memory .* at keep; set train\.memory to segments"):
        stepper.take(step_batch(0, micro_batches=2), step=1, learning_rate=1e-2)
    assert all(p.grad is None for p in model.parameters())
    torch.testing.assert_close([p.detach() for p in model.parameters()], before, rtol=0, atol=0)


def test_what_was_trained_before_is_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model()
    fail_once(model, 3)
    with caplog.at_level(logging.ERROR), pytest.raises(SpecError, match="out of device memory"):
        train(open_training(tmp_path, steps=5, model=model, checkpoint_every=0))
    saved = checkpoint_files.find_newest(tmp_path / "checkpoints")
    assert saved is not None and checkpoint_files.step_of(saved) == 2
    assert f"too little memory after step 2; saved {saved}" in caplog.text


def test_ranks_step_down_together(tmp_path: Path) -> None:
    calm, short = tmp_path / "calm", tmp_path / "short"
    train(open_training(calm, steps=4, model=tiny_model(dropout=0.0), checkpoint_every=0))
    ends = finish(start_ranks(short, 4, "short"))
    assert [code for code, _ in ends] == [0, 0], ends
    wanted, found = (read_metrics(folder / "metrics.jsonl") for folder in (calm, short))
    assert [line.rows_sha256 for line in found] == [line.rows_sha256 for line in wanted]
    assert [line.loss for line in found] == pytest.approx([line.loss for line in wanted], rel=1e-5)
    assert [line.memory for line in found] == ["keep", "keep", "recompute", "recompute"]
