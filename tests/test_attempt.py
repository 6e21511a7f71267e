"""What surrounds one attempt at a run."""

import json
import multiprocessing
import os
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from ten.attempt import Attempt, held, measured, mirrored, plan_attempt, recorded
from ten.errors import Resumable, SpecError
from ten.job import load_job
from ten.preparation import Preparation
from ten.runs import run_folder
from ten.train.checkpoint_files import complete
from ten.train.metrics import MetricsLog, StepMetrics
from ten.train.run_record import job_sha256, read_run
from ten.train.stopping import StopRequest
from tests.train.remote import Remote, make_checkpoint


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """One short document."""
    path = tmp_path / "a.txt"
    path.write_text("some text " * 500)
    return path


def _job(text: Path, *sets: str) -> Preparation:
    flags = {"data.dataset": str(text), "store": str(text.parent / "store"), "data.seq_len": 8}
    return Preparation(load_job(None, flags, sets))


def _planned(job: Preparation, ranks: int) -> Attempt:
    return measured(plan_attempt(job, ranks), job, lambda: job.epoch_tokens)


def _begun(job: Preparation, ranks: int) -> None:
    """A run that began on so many ranks."""
    attempt = _planned(job, ranks)
    with recorded(attempt, job, "cpu", ranks, 0):
        pass


def test_the_global_batch_keeps_its_size_on_another_number_of_ranks(text: Path) -> None:
    sets = ["train.micro_batch_rows=3", "train.gradient_accumulation=4", "train.steps=10"]
    _begun(_job(text, *sets), ranks=1)
    for ranks, micro_batches in ((2, 2), (4, 1), (1, 4)):
        attempt = _planned(_job(text, *sets), ranks)
        assert attempt.micro_batches == micro_batches
        assert attempt.record.total_tokens == 10 * 12 * 8
    assert plan_attempt(_job(text, *sets), ranks=3).micro_batches == 4


def test_a_batch_that_is_asked_for_is_what_it_says_whatever_else_changes(text: Path) -> None:
    _begun(_job(text, "train.micro_batch_rows=4", "train.steps=8"), ranks=2)
    asked = ["train.micro_batch_rows=4", "train.gradient_accumulation=2", "train.steps=9"]
    attempt = _planned(_job(text, *asked), ranks=1)
    assert attempt.micro_batches == 2
    assert attempt.record.global_rows == 8
    assert attempt.record.total_tokens == 9 * 8 * 8
    with recorded(attempt, _job(text, *asked), "cpu", 1, 0):
        pass
    assert plan_attempt(_job(text, *asked), ranks=1).micro_batches == 2


def test_the_length_is_settled_once_and_asks_for_an_epoch_only_where_it_must(text: Path) -> None:
    def never() -> int:
        raise AssertionError("asked")

    steps = _job(text, "train.steps=3")
    assert measured(plan_attempt(steps, 1), steps, never).record.total_tokens > 0
    epochs = _job(text, "train.epochs=2", "run=other")
    attempt = measured(plan_attempt(epochs, 1), epochs, lambda: 1000)
    assert attempt.record.total_tokens == 2000
    with recorded(attempt, epochs, "cpu", 1, 0):
        pass
    assert measured(plan_attempt(epochs, 1), epochs, never).record.total_tokens == 2000


def test_a_run_of_another_spec_is_refused_and_the_same_data_elsewhere_is_not(text: Path, tmp_path: Path) -> None:
    _begun(_job(text), ranks=1)
    with pytest.raises(SpecError, match=r"model\.layers"):
        plan_attempt(_job(text, "model.layers=1"), ranks=1)
    (tmp_path / "elsewhere").mkdir()
    moved = text.rename(tmp_path / "elsewhere" / "a.txt")
    job = Preparation(
        load_job(None, {"data.dataset": str(moved), "store": str(tmp_path / "store"), "data.seq_len": 8}, [])
    )
    assert plan_attempt(job, ranks=1).record.spec["data"]["dataset"] == str(moved)
    text.write_text("other text " * 500)
    with pytest.raises(SpecError, match="made from other data"):
        plan_attempt(_job(text), ranks=1)


def _line(step: int) -> StepMetrics:
    return StepMetrics(
        step=step, tokens=step * 8, loss=1.5, lr=0.1, grad_norm=2.0, tokens_per_s=5.0, data_wait_s=0.0,
        rows_sha256="ab", seconds=float(step),
    )  # fmt: skip


def test_an_attempt_is_recorded_with_its_end_and_its_tokenizer(text: Path) -> None:
    job = _job(text, "train.steps=3")
    attempt = plan_attempt(job, ranks=1)
    metrics = MetricsLog(attempt.folder / "metrics.jsonl", 0)
    with pytest.raises(Resumable), recorded(attempt, job, "cpu", 1, 0) as reached:
        running = read_run(attempt.folder / "run.json")
        assert running is not None and running.attempts[0].ended is None
        for step in (1, 2, 3):
            metrics.append(_line(step))
        reached.append(2)
        raise Resumable("stopped by SIGTERM")
    record = read_run(attempt.folder / "run.json")
    assert record is not None
    assert (record.attempts[0].to_step, record.attempts[0].reason) == (2, "stopped by SIGTERM")
    assert (record.attempts[0].from_tokens, record.attempts[0].to_tokens) == (0, 16)
    assert record.attempts[0].job_sha256 == job_sha256(record.spec)
    assert record.attempts[0].machine.cores
    assert record.total is not None
    assert (record.total.tokens, record.total.reason) == (16, "stopped by SIGTERM")
    kept = json.loads((attempt.folder / "tokenizer.json").read_bytes())
    assert kept["fingerprint"] == job.tokenizer.fingerprint


def test_a_newer_tokenizer_replaces_one_that_a_failed_start_left(text: Path) -> None:
    first, second = _job(text, "data.tokenizer=bpe:300"), _job(text, "data.tokenizer=bpe:310")
    for job in (first, second):
        attempt = plan_attempt(job, ranks=1)
        with recorded(attempt, job, "cpu", 1, 0):
            pass
        (attempt.folder / "run.json").unlink()
    kept = json.loads((run_folder(second.store, second.run_id, second.cache_dir) / "tokenizer.json").read_bytes())
    assert kept["fingerprint"] == second.tokenizer.fingerprint


def _hold(folder: str, ready: str) -> None:
    with held(Path(folder)):
        Path(ready).touch()
        time.sleep(60)


def test_one_process_holds_a_run_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    folder, ready = tmp_path / "run", tmp_path / "ready"
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(folder), str(ready)))
    process.start()
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(SpecError, match="another process is training it"), held(folder):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with held(folder):
        assert list(folder.iterdir()) == []


def test_run_json_says_when_a_running_attempt_was_last_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ten.attempt.SEEN_EVERY_S", 0.05)
    text = tmp_path / "a.txt"
    text.write_text("so it goes\n" * 300, encoding="utf-8")
    job = Preparation(load_job(None, {"data.dataset": str(text), "store": str(tmp_path / "s")}, ["train.steps=9"]))
    attempt = plan_attempt(job, 1)
    attempt.folder.mkdir(parents=True)
    with recorded(attempt, job, "cpu", 1, 0):
        deadline = time.monotonic() + 10
        while (record := read_run(attempt.folder / "run.json")) is None or record.attempts[-1].seen is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert record.attempts[-1].ended is None
    ended = read_run(attempt.folder / "run.json")
    assert ended is not None
    assert ended.attempts[-1].ended is not None


def _remote_job(text: Path, store: Remote, machine: str, *sets: str) -> Preparation:
    """The job on a machine of its own, over a store that is no folder."""
    flags = {"data.dataset": str(text), "data.seq_len": 8, "data.cache_dir": str(text.parent / machine), "run": "r"}
    job = Preparation(load_job(None, flags, ["train.steps=9", *sets]))
    job.place.__dict__["store"] = store
    return job


def test_on_another_machine_an_attempt_goes_on_from_the_stores_record_and_checkpoint(text: Path) -> None:
    store, stop = Remote(), StopRequest()
    job = _remote_job(text, store, "first", "train.gradient_accumulation=4")
    attempt = _planned(job, 1)
    assert attempt.folder.is_relative_to(text.parent / "first" / "runs")
    with mirrored(attempt, job.spec, stop) as mirror, recorded(attempt, job, "cpu", 1, 0):
        assert mirror is not None
        mirror.note()
        mirror.offer(make_checkpoint(attempt.folder, 2))
    there = plan_attempt(_remote_job(text, store, "second", "train.gradient_accumulation=4"), ranks=2)
    assert there.folder.is_relative_to(text.parent / "second" / "runs")
    assert (there.micro_batches, there.record.created) == (2, attempt.record.created)
    assert [path.name for path in complete(there.folder / "checkpoints")] == ["step-00000002"]
    assert (there.folder / "tokenizer.json").exists()
    with pytest.raises(SpecError, match=r"model\.layers"):
        plan_attempt(_remote_job(text, store, "third", "model.layers=1"), ranks=1)


def test_what_a_run_goes_on_with_is_said_once_it_is_ours_and_as_yaml_has_it(
    text: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _begun(_job(text, "train.steps=3", "limits.max_duration=4m", "secrets=[A_B]"), ranks=1)
    job = _job(text, "train.steps=3")
    caplog.clear()
    with caplog.at_level("INFO"):
        attempt = _planned(job, 1)
        assert not caplog.messages
        with recorded(attempt, job, "cpu", 1, 0):
            pass
    assert caplog.messages == [
        f"run {job.run_id} goes on with limits.max_duration: 4m → unset",
        f"run {job.run_id} goes on with secrets: [A_B] → []",
        f"run {attempt.folder}: from step 0 (0 tokens) to {attempt.record.total_tokens} tokens",
    ]


def test_a_run_in_a_folder_has_no_mirror(text: Path) -> None:
    job = _job(text, "train.steps=3")
    with mirrored(plan_attempt(job, 1), job.spec, StopRequest()) as mirror:
        assert mirror is None
    assert "mirror" not in [thread.name for thread in threading.enumerate()]


def test_what_was_in_vain_three_times_is_not_tried_again_where_nobody_watches(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job(text, "train.steps=9")
    attempt = _planned(job, 1)

    def ended(*steps: int) -> None:
        for begun, reached in pairwise(steps):
            with pytest.raises(Resumable), recorded(plan_attempt(job, 1), job, "cpu", 1, begun) as at:
                at.append(reached)
                raise Resumable("the store was away")

    ended(0, 0, 0, 2, 2, 2)
    monkeypatch.setenv("TEN_UNATTENDED", "1")
    assert plan_attempt(job, 1).folder == attempt.folder
    ended(2, 2)
    with pytest.raises(SpecError, match=r"last 3 attempts have made no step \(the store was away\)"):
        plan_attempt(job, 1)
    monkeypatch.delenv("TEN_UNATTENDED")
    assert plan_attempt(job, 1).folder == attempt.folder
