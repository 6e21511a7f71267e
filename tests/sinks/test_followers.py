"""Sinks in processes of their own: told everything, and unable to hold a run up."""

import logging
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from ten.sinks import followers
from ten.sinks.followers import following
from tests.sinks.conftest import GrowingRun


def _events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Scalars as TensorBoard itself reads them, by tag."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return {
        tag: [(event.step, round(event.value, 4)) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]
    }


def test_tensorboard_has_what_the_metrics_say_and_forgets_what_was_trained_again(
    run: GrowingRun, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard")
    with following(["tensorboard"], run.folder, 0):
        run.add(1, 2, 3)
    assert run.position("tensorboard") == 3
    run.resume(1)
    with following(["tensorboard"], run.folder, 1):
        run.add(2, 3, 4, loss=1.0)
    assert not caplog.records
    events = _events(run.folder / "tensorboard")
    assert events["loss"] == [(1, 2.0), (2, 1.0), (3, 1.0), (4, 1.0)]
    assert events.keys() >= {"loss", "lr", "grad_norm", "tokens_per_s", "data_wait_s"}
    assert not events.keys() & {"step", "tokens", "rows_sha256"}


def test_weights_and_biases_works_without_a_network(
    run: GrowingRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if find_spec("wandb") is None:
        pytest.skip("wandb is not installed: pip install 'ten[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with following(["wandb"], run.folder, 0):
        run.add(1, 2, 3)
    assert not caplog.records
    assert run.position("wandb") == 3
    (kept,) = (run.folder / "wandb" / "wandb").glob("offline-run-*/run-tale.wandb")
    assert b"grad_norm" in kept.read_bytes()


def test_a_sink_that_fails_is_one_warning(
    run: GrowingRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with following(["wandb"], run.folder, 0):
        run.add(1)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "sink wandb is left out from here on: WANDB_API_KEY is not set" in record.getMessage()


def test_a_sink_that_hangs_is_left_behind(
    run: GrowingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    monkeypatch.setattr(followers, "LEAVE_S", 0.3)
    begun = time.monotonic()
    with following(["tensorboard", "wandb"], run.folder, 0):
        assert time.monotonic() - begun < 5
    assert time.monotonic() - begun < 10
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["sink tensorboard", "sink wandb"]


def test_a_sink_that_cannot_start_is_a_warning(
    run: GrowingRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/none")
    with following(["tensorboard"], run.folder, 0):
        pass
    assert "sink tensorboard is left out" in caplog.text
