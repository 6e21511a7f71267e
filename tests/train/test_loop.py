"""Whole attempts: to the end, stopped, killed, resumed."""

import logging
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ten.data.loader import StepBatch
from ten.errors import CredentialsError, DataError, DiskFull, Resumable, ServiceUnavailable, TenError, TrainingDiverged
from ten.train import checkpoint_files
from ten.train.checkpoint import Position, read_state
from ten.train.loop import train
from ten.train.metrics import StepMetrics, read_metrics
from ten.train.settings import OptimizerName, Weights
from ten.train.stopping import StopRequest
from tests.train.remote import Remote, open_mirror, wait_until
from tests.train.tiny import T, TinyHeldOut, batches, open_training, start_attempt, tiny_model, wait_for_steps


def facts(line: StepMetrics) -> tuple[object, ...]:
    """What must not depend on when and where a step ran."""
    return line.step, line.tokens, line.loss, line.lr, line.grad_norm, line.rows_sha256


def test_a_run_ends_at_its_tokens_with_a_checkpoint_and_a_held_out_loss(tmp_path: Path) -> None:
    outcome = train(open_training(tmp_path, steps=5))
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line.step for line in lines] == [1, 2, 3, 4, 5]
    assert outcome.position.tokens == lines[-1].tokens == 5 * 8 * T
    assert outcome.loss == lines[-1].loss
    assert outcome.held_out_bits_per_byte == lines[-1].held_out_bits_per_byte is not None
    assert [line.step for line in lines if line.held_out_bits_per_byte is not None] == [3, 5]
    assert checkpoint_files.find_newest(tmp_path / "checkpoints") == outcome.checkpoint
    assert [p.name[-1] for p in checkpoint_files.complete(tmp_path / "checkpoints")] == ["2", "4", "5"]


def test_the_same_command_on_a_finished_run_trains_nothing_and_tells_the_same(tmp_path: Path) -> None:
    first = train(open_training(tmp_path, steps=3))
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = train(open_training(tmp_path, steps=3))
    assert again.loss == first.loss
    assert again.held_out_bits_per_byte == first.held_out_bits_per_byte
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_a_stop_saves_the_last_finished_step_and_names_signal_step_and_checkpoint(tmp_path: Path) -> None:
    stop = StopRequest()
    run = open_training(tmp_path, steps=9, stop=stop, checkpoint_every=0)
    assert run.step(*run.next_batch()) is not None
    stop.request("SIGTERM")
    with pytest.raises(Resumable, match=r"stopped by SIGTERM after step 1; saved .*step-00000001") as caught:
        train(run)
    assert caught.value.exit_code == 75
    assert open_training(tmp_path, steps=9).position.step == 1


def test_a_stop_before_the_first_step_has_nothing_to_save(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.request("deadline")
    with pytest.raises(Resumable, match="before the first step"):
        train(open_training(tmp_path, steps=9, stop=stop))
    assert checkpoint_files.complete(tmp_path / "checkpoints") == []


def test_a_stop_in_the_last_evaluation_keeps_the_training_and_evaluates_on_resume(tmp_path: Path) -> None:
    train(open_training(tmp_path / "whole", steps=2, evaluate_every=0))
    stop = StopRequest()
    run = open_training(tmp_path / "cut", steps=2, evaluate_every=0, stop=stop)
    while not run.is_done:
        metrics = run.step(*run.next_batch())
        assert metrics is not None
        run.record(metrics)
    stop.request("SIGTERM")
    with pytest.raises(Resumable, match="after step 2"):
        run.finish()
    assert read_metrics(tmp_path / "cut" / "metrics.jsonl")[-1].held_out_bits_per_byte is None
    outcome = train(open_training(tmp_path / "cut", steps=2, evaluate_every=0))
    expected = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    found = read_metrics(tmp_path / "cut" / "metrics.jsonl")
    assert outcome.held_out_bits_per_byte == expected[-1].held_out_bits_per_byte
    assert [line.held_out_bits_per_byte for line in found] == [line.held_out_bits_per_byte for line in expected]


def test_sigterm_in_a_real_process_saves_and_exits_75_and_the_resumed_run_is_the_same(tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    process = start_attempt(cut, 8, "slow")
    wait_for_steps(cut, 3)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output
    saved = checkpoint_files.find_newest(cut / "checkpoints")
    assert saved is not None
    last = read_metrics(cut / "metrics.jsonl")[-1].step
    assert checkpoint_files.step_of(saved) == last < 8
    assert f"stopped by SIGTERM after step {last}; saved {saved}" in output
    finish(cut, 8)
    finish(tmp_path / "whole", 8)
    assert_same_run(cut, tmp_path / "whole")


def test_sigterm_ends_a_wait_for_data_that_does_not_come(tmp_path: Path) -> None:
    process = start_attempt(tmp_path, 9, "stall")
    wait_for_steps(tmp_path, 2)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 75, output
    assert "after step 2" in output


@pytest.mark.parametrize("kinds", [("adamw", "fp32"), ("muon", "fp32"), ("muon", "bf16")])
def test_kill_minus_nine_loses_no_more_than_the_steps_since_the_checkpoint(
    tmp_path: Path, kinds: tuple[OptimizerName, Weights]
) -> None:
    process = start_attempt(tmp_path / "cut", 5, "saves", *kinds)
    wait_for_steps(tmp_path / "cut", 3)
    process.kill()
    process.communicate(timeout=30)
    assert checkpoint_files.complete(tmp_path / "cut" / "checkpoints")
    finish(tmp_path / "cut", 5, *kinds)
    finish(tmp_path / "whole", 5, *kinds)
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_only_rank_0_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_training(tmp_path, steps=1)
    monkeypatch.setattr(type(run.world), "is_first", property(lambda self: False))
    train(open_training(tmp_path / "other", steps=1))
    assert not (tmp_path / "other").exists()


def test_divergence_leaves_the_last_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    model = tiny_model()
    run = open_training(tmp_path, steps=9, model=model, checkpoint_every=1)
    for _ in range(2):
        assert run.step(*run.next_batch()) is not None
        run.checkpoint_if_due()
    next(model.parameters()).data.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="step 3"):
        train(run)
    assert open_training(tmp_path, steps=9).position.step == 2


def test_a_disk_that_is_full_stops_with_the_older_checkpoint_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(open_training(tmp_path, steps=2))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage())
    with pytest.raises(DiskFull, match="0 B are free"):
        train(open_training(tmp_path, steps=9))
    monkeypatch.undo()
    assert open_training(tmp_path, steps=9).position.step == 2


class _Usage:
    free = 0


def test_data_that_ends_too_soon_is_an_error_and_no_silent_end(tmp_path: Path) -> None:
    source = lambda position: iter([next(batches(position))])  # noqa: E731
    with pytest.raises(DataError, match="ended after 48 of 432 tokens"):
        train(open_training(tmp_path, steps=9, source=source))


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ServiceUnavailable("no answer"), "step-00000001; run the same command again to go on"),
        (DataError("damaged"), "step-00000001"),
    ],
)
def test_data_that_fails_says_what_was_saved_and_whether_to_try_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: TenError, end: str
) -> None:
    def source(position: Position) -> Iterator[StepBatch]:
        yield next(batches(position))
        raise error

    with caplog.at_level(logging.ERROR), pytest.raises(type(error)):
        train(open_training(tmp_path, steps=9, source=source))
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("the data failed after step 1; saved ") and said.endswith(end)


def test_a_run_without_held_out_text_says_how_it_can_be_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TinyHeldOut, "text_bytes", 0)
    with caplog.at_level(logging.WARNING):
        assert train(open_training(tmp_path, steps=2)).held_out_bits_per_byte is None
    assert "`ten eval --dataset TEXT`" in caplog.text and "a validation split" in caplog.text


def test_time_in_training_adds_up_over_attempts(tmp_path: Path) -> None:
    train(open_training(tmp_path, steps=2))
    first = read_state(tmp_path / "checkpoints" / "step-00000002").position.seconds
    train(open_training(tmp_path, steps=4))
    seconds = [line.seconds for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert seconds == sorted(seconds)
    assert seconds[2] >= first


def test_a_checkpoint_on_its_way_to_the_store_stays_here_beyond_keep_last(tmp_path: Path) -> None:
    store = Remote()
    store.gate.clear()
    with open_mirror(store, tmp_path) as mirror:
        run = open_training(tmp_path, steps=9, keep_last=1, checkpoint_every=1, mirror=mirror)
        for _ in range(4):
            metrics = run.step(*run.next_batch())
            assert metrics is not None and metrics.stored is None
            run.record(metrics)
            run.checkpoint_if_due()
            wait_until(lambda: store.asked)
        assert [path.name[-1] for path in checkpoint_files.complete(tmp_path / "checkpoints")] == ["1", "4"]
        store.gate.set()
        wait_until(lambda: mirror.stored == 4)
        metrics = run.step(*run.next_batch())
        assert metrics is not None and metrics.stored == 4


def test_a_finished_run_is_in_the_store_with_its_last_score(tmp_path: Path) -> None:
    store = Remote()
    with open_mirror(store, tmp_path) as mirror:
        mirror.note()
        outcome = train(open_training(tmp_path, steps=5, evaluate_every=0, mirror=mirror))
    assert mirror.stored == 5
    assert store.read("runs/r/metrics.jsonl") == (tmp_path / "metrics.jsonl").read_bytes()
    assert read_metrics(tmp_path / "metrics.jsonl")[-1].held_out_bits_per_byte == outcome.held_out_bits_per_byte


def test_a_refused_key_ends_the_loop_with_its_last_step_saved_here(tmp_path: Path) -> None:
    store, stop = Remote(), StopRequest()
    with pytest.raises(CredentialsError, match="is on this disk only"), open_mirror(store, tmp_path, stop=stop) as sent:
        store.error = CredentialsError("the secret is wrong")
        train(open_training(tmp_path, steps=100_000, evaluate_every=0, checkpoint_every=1, mirror=sent, stop=stop))
    saved = checkpoint_files.find_newest(tmp_path / "checkpoints")
    assert saved is not None
    assert checkpoint_files.step_of(saved) == read_metrics(tmp_path / "metrics.jsonl")[-1].step


def finish(folder: Path, steps: int, optimizer: OptimizerName = "adamw", weights: Weights = "fp32") -> None:
    kinds: dict[str, Any] = {"optimizer_name": optimizer, "weights": weights}
    train(open_training(folder, steps=steps, model=tiny_model(dropout=0.0), checkpoint_every=0, **kinds))


def assert_same_run(one: Path, two: Path) -> None:
    lines = [[facts(line) for line in read_metrics(folder / "metrics.jsonl")] for folder in (one, two)]
    assert lines[0] == lines[1]
    newest = [checkpoint_files.find_newest(folder / "checkpoints") for folder in (one, two)]
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (newest[0] / name).read_bytes() == (newest[1] / name).read_bytes()  # type: ignore[operator]
