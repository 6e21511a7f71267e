"""A run's folder in its store: what is sent, in which order, and what is said when it cannot be."""

import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ten.errors import CredentialsError, DataError, Resumable, ServiceUnavailable, StoreError
from ten.train import checkpoint_files
from ten.train.metrics import last_lines
from ten.train.stopping import StopRequest
from tests.train.remote import Remote, make_checkpoint, make_run, open_mirror, step_folder, wait_until

AWAY = ServiceUnavailable("s3://bucket/prefix: no answer")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with metrics of nine steps."""
    make_run(tmp_path / "r", 9)
    return tmp_path / "r"


def test_a_checkpoint_is_in_the_store_whole_its_seal_last_and_what_lies_beside_it_before(run: Path) -> None:
    store = Remote()
    with open_mirror(store, run) as mirror:
        mirror.offer(make_checkpoint(run, 4))
    put = [key.removeprefix("runs/r/") for what, key in store.asked if what in ("send", "write")]
    beside = ["run.json", "tokenizer.json", "metrics.jsonl"]
    seal = "checkpoints/step-00000004/COMPLETE"
    assert put[:6] == [
        "checkpoints/step-00000004/model.safetensors", "checkpoints/step-00000004/state.json", *beside, seal
    ]  # fmt: skip
    for name in ("model.safetensors", "COMPLETE"):
        there = store.read(f"{step_folder(4)}/{name}")
        assert there == (run / "checkpoints" / "step-00000004" / name).read_bytes()
    assert [line.step for line in last_lines(store.read("runs/r/metrics.jsonl"))] == [1, 2, 3, 4]
    assert mirror.stored == 4


def test_a_store_that_is_slow_holds_nobody_up_and_gets_the_newest(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Remote()
    store.gate.clear()
    with caplog.at_level(logging.INFO), open_mirror(store, run) as mirror:
        mirror.offer(make_checkpoint(run, 1))
        wait_until(lambda: "send" in [what for what, _ in store.asked])
        for step in (2, 3, 4):
            mirror.offer(make_checkpoint(run, step))
        assert [folder.name[-1] for folder in mirror.held()] == ["1", "4"]
        store.gate.set()
    assert {key.split("/")[3] for key in store.keys("runs/r/checkpoints/")} == {"step-00000001", "step-00000004"}
    assert "step-00000002 is not sent" in caplog.text


def test_older_checkpoints_and_what_was_never_completed_leave_the_store_seal_first(run: Path) -> None:
    store = Remote()
    store.write(f"{step_folder(2)}/model.safetensors", b"of an upload that was killed")
    store.asked.clear()
    with open_mirror(store, run, keep_last=2) as mirror:
        for step in (1, 3, 5):
            mirror.offer(make_checkpoint(run, step))
            wait_until(lambda: mirror.stored == step)  # noqa: B023
    assert {key.split("/")[3] for key in store.keys("runs/r/checkpoints/")} == {"step-00000003", "step-00000005"}
    deleted = [key for what, key in store.asked if what == "delete" and key.startswith(step_folder(1))]
    assert deleted[0].endswith("COMPLETE")


def test_a_store_that_does_not_let_go_of_old_checkpoints_is_a_warning(
    run: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_store: Remote, key: str) -> None:
        raise CredentialsError(f"{key}: the key may not delete")

    monkeypatch.setattr(Remote, "delete", refuse)
    with open_mirror(Remote(), run, keep_last=1) as mirror:
        for step in (1, 2):
            mirror.offer(make_checkpoint(run, step))
            wait_until(lambda: mirror.stored == step)  # noqa: B023
    assert "may not delete" in caplog.text


def test_a_store_that_is_away_is_a_warning_and_the_next_checkpoint_is_tried(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Remote()
    with open_mirror(store, run) as mirror:
        store.error = AWAY
        mirror.offer(make_checkpoint(run, 1))
        wait_until(lambda: "step-00000001 could not be sent" in caplog.text)
        assert mirror.stored is None
        store.error = None
        mirror.offer(make_checkpoint(run, 2))
    assert mirror.stored == 2


def test_a_checkpoint_that_failed_is_tried_once_more_at_the_end(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Remote()
    with open_mirror(store, run) as mirror:
        store.error = AWAY
        mirror.offer(make_checkpoint(run, 1))
        wait_until(lambda: "could not be sent" in caplog.text)
        store.error = None
    assert mirror.stored == 1


def test_an_end_without_the_store_is_a_store_error_that_says_where_the_checkpoint_is_and_how_to_go_on(
    run: Path,
) -> None:
    store = Remote()
    with pytest.raises(StoreError) as caught, open_mirror(store, run) as mirror:
        mirror.offer(make_checkpoint(run, 3))
        wait_until(lambda: mirror.stored == 3)
        store.error = AWAY
        mirror.offer(make_checkpoint(run, 5))
    said = str(caught.value)
    assert caught.value.exit_code == 74
    for part in ("step-00000005 is on this disk only", "no answer", "newest there: s3://bucket/prefix/runs/r/check"):
        assert part in said
    assert f"`ten push {run} s3://bucket/prefix`" in said
    assert checkpoint_files.find_damage(run / "checkpoints" / "step-00000005") is None


def test_a_stop_says_what_made_it_into_the_store(run: Path) -> None:
    stop = StopRequest()
    with open_mirror(Remote(), run, stop=stop) as mirror:
        stop.request("SIGTERM")
        mirror.offer(make_checkpoint(run, 5))
        error = mirror.farewell("stopped by SIGTERM after step 5; saved here")
    assert isinstance(error, Resumable)
    assert str(error) == (
        "stopped by SIGTERM after step 5; saved here; in the store: step-00000005; run the same command again to go on"
    )


def test_a_stop_for_money_says_what_to_raise_first(run: Path) -> None:
    stop = StopRequest()
    stop.request("limits.max_cost=9", "raise limits.max_cost")
    with open_mirror(Remote(), run, stop=stop) as mirror:
        mirror.offer(make_checkpoint(run, 5))
        error = mirror.farewell("stopped")
    assert str(error).endswith("; raise limits.max_cost, then run the same command again to go on")


def test_a_stop_waits_no_longer_than_its_grace_and_is_a_store_error_then(run: Path) -> None:
    store, stop = Remote(), StopRequest()
    store.gate.clear()
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"limits\.stop_grace"), open_mirror(store, run, stop=stop, grace_s=0.3) as mir:
        mir.offer(make_checkpoint(run, 5))
        stop.request("SIGTERM")
        raise mir.farewell("stopped by SIGTERM after step 5; saved here")
    assert time.monotonic() - began < 10
    assert not [key for key in store.keys("runs") if key.endswith("COMPLETE")]


def test_another_error_stays_and_the_checkpoint_is_waited_for(run: Path) -> None:
    store = Remote()
    with pytest.raises(DataError, match="damaged text"), open_mirror(store, run) as mirror:
        mirror.offer(make_checkpoint(run, 1))
        raise DataError("damaged text")
    assert mirror.stored == 1


def test_ctrl_c_outside_the_loop_waits_too_and_is_no_resumable_end_without_the_store(run: Path) -> None:
    store = Remote()
    store.gate.clear()
    with pytest.raises(StoreError, match="this disk only"), open_mirror(store, run, grace_s=0.2) as mirror:
        mirror.offer(make_checkpoint(run, 1))
        raise KeyboardInterrupt


def test_a_signal_while_the_end_waits_for_the_store_counts_its_grace(run: Path) -> None:
    store = Remote()
    store.gate.clear()
    killer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    with pytest.raises(StoreError, match=r"limits\.stop_grace"), open_mirror(store, run, grace_s=0.2) as mirror:
        mirror.offer(make_checkpoint(run, 1))
        killer.start()
    killer.join()


def test_the_record_is_sent_at_the_beginning_and_at_the_end(run: Path) -> None:
    store = Remote()
    with open_mirror(store, run) as mirror:
        mirror.note()
        wait_until(lambda: "runs/r/run.json" in store.keys("runs"))
        (run / "run.json").write_text("the end")
    assert store.read("runs/r/run.json") == b"the end"


def test_a_checkpoint_that_is_there_is_not_sent_and_the_rest_of_a_broken_upload_is(run: Path) -> None:
    store, four = Remote(), make_checkpoint(run, 4)
    with open_mirror(store, run) as mirror:
        mirror.offer(four)
    store.asked.clear()
    with open_mirror(store, run) as mirror:
        mirror.offer(four)
    assert [what for what, _ in store.asked] == ["read", "list"]
    for name in ("COMPLETE", "state.json"):
        store.delete(f"{step_folder(4)}/{name}")
    store.asked.clear()
    with open_mirror(store, run) as mirror:
        mirror.offer(four)
    assert [key for what, key in store.asked if what == "send"] == [f"{step_folder(4)}/state.json"]
    assert mirror.stored == 4


def test_a_bug_in_the_thread_ends_the_run_with_its_traceback(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    stop = StopRequest()
    monkeypatch.setattr(Remote, "send", fail)
    with pytest.raises(ZeroDivisionError), open_mirror(Remote(), run, stop=stop) as mirror:
        mirror.offer(make_checkpoint(run, 1))
        wait_until(lambda: stop.reason)
