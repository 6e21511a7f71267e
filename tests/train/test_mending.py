"""Spikes in a real loop: left out of the weights, told, and weights put back where they crowd."""

from pathlib import Path

import pytest
import torch

from ten.errors import TrainingDiverged
from ten.train import spikes as spikes_module
from ten.train.loop import train
from ten.train.metrics import StepMetrics, read_metrics
from ten.train.spikes import Spikes
from ten.train.step import Stepper, StepResult
from tests.train.tiny import open_training, tiny_model

STEPS = 24


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are judged after eight of them."""
    monkeypatch.setattr(spikes_module, "WINDOW", 8)


def spiking(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """Make the loss of some steps look a thousand times as high."""
    judge = Spikes.judge
    seen: list[int] = []

    def judged(self: Spikes, loss: float, norm: float) -> str | None:
        seen.append(1)
        return judge(self, loss * (10.0 ** (3 * len(seen)) if len(seen) in steps else 1.0), norm)

    monkeypatch.setattr(Spikes, "judge", judged)


def run(folder: Path, *, rolls_back: bool = False) -> list[StepMetrics]:
    train(
        open_training(
            folder,
            steps=STEPS,
            model=tiny_model(dropout=0.0),
            checkpoint_every=5,
            rolls_back=rolls_back,
            spikes=Spikes(),
        )
    )
    return read_metrics(folder / "metrics.jsonl")


def test_a_step_that_stands_out_changes_no_weight_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before: dict[int, torch.Tensor] = {}
    take = Stepper.take

    def noted(self: Stepper, *batch: object, step: int, **rate: float) -> StepResult | None:
        result = take(self, *batch, step=step, **rate)  # type: ignore[arg-type]
        before[step] = torch.cat([p.detach().flatten() for p in self.model.parameters()])
        return result

    monkeypatch.setattr(Stepper, "take", noted)
    spiking(monkeypatch, 12)
    metrics = run(tmp_path)
    assert [line.step for line in metrics if line.skipped] == [12]
    assert "loss" in (metrics[11].skipped or "") and "above" in (metrics[11].skipped or "")
    assert torch.equal(before[12], before[11])
    assert not torch.equal(before[11], before[10])
    assert "step 12 changed no weight" in caplog.text
    assert "one now and then is harmless (train.spikes" in caplog.text
    assert [line.step for line in metrics] == list(range(1, STEPS + 1))


def test_a_crowd_ends_the_run_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spiking(monkeypatch, 12, 13, 14)
    with pytest.raises(TrainingDiverged, match=r"3 of the last 16 steps stood out .* train\.spikes=rollback"):
        run(tmp_path)


def test_a_crowd_puts_the_last_checkpoint_s_weights_back_and_the_data_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = run(tmp_path / "undisturbed")
    spiking(monkeypatch, 12, 13, 14)
    metrics = run(tmp_path / "spiking", rolls_back=True)
    assert [(line.step, line.rolled_back) for line in metrics if line.rolled_back] == [(14, 10)]
    assert [line.rows_sha256 for line in metrics] == [line.rows_sha256 for line in undisturbed]
    assert [line.loss for line in metrics[:11]] == [line.loss for line in undisturbed[:11]]
    assert metrics[14].loss != undisturbed[14].loss


def test_no_checkpoint_to_go_back_to_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spiking(monkeypatch, 9, 10, 11)
    monkeypatch.setattr("ten.train.checkpoint.Checkpoints.put_back", lambda _: None)
    with pytest.raises(TrainingDiverged, match="another run"):
        run(tmp_path, rolls_back=True)
