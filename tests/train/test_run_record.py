"""run.json: a run and its attempts."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ten.errors import DataError, Resumable
from ten.train.machine import Machine
from ten.train.run_record import FINISHED, RunRecord, Total, decode_run, job_sha256, now, read_run, reason_of, write_run


def test_attempts_add_up_and_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run" / "run.json"
    record = RunRecord(run="nano", created=now(), spec={"seed": 1}, total_tokens=1000)
    record = record.begin(device="cpu", mode="full", world_size=1, from_step=0).end(to_step=4, reason="SIGTERM")
    write_run(path, record)
    again = read_run(path)
    assert again == record
    again = again.begin(device="L40S", mode="streaming", world_size=2, from_step=4)
    write_run(path, again)
    first, second = read_run(path).attempts  # type: ignore[union-attr]
    assert (first.to_step, first.reason) == (4, "SIGTERM")
    assert (second.from_step, second.ended) == (4, None)
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]


def test_a_run_is_finished_when_its_last_attempt_was() -> None:
    record = RunRecord(run="nano", created=now(), spec={}, total_tokens=1000)
    assert not record.is_finished
    begun = record.begin(device="cpu", mode="full", world_size=1, from_step=0)
    assert not begun.is_finished
    assert not begun.end(to_step=4, reason="SIGTERM").is_finished
    assert begun.end(to_step=4, reason=FINISHED).is_finished


def test_a_missing_record_is_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert read_run(tmp_path / "run.json") is None
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"run\.json"):
        read_run(tmp_path / "run.json")


def test_the_record_that_knows_of_later_events_is_the_newer_one() -> None:
    fresh = RunRecord(run="nano", created=now(), spec={}, total_tokens=1)
    begun = fresh.begin(device="cpu", mode="full", world_size=1, from_step=0)
    ended = begun.end(to_step=3, reason="finished")
    again = ended.begin(device="cpu", mode="full", world_size=1, from_step=3)
    for older, newer in ((fresh, begun), (begun, ended), (ended, again), (fresh, again)):
        assert older.is_older_than(newer)
        assert not newer.is_older_than(older)
    assert not begun.is_older_than(begun)


def test_the_receipt_adds_up_over_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    clock = iter(at + timedelta(hours=hours) for hours in (1, 2, 5))
    monkeypatch.setattr("ten.train.run_record.now", lambda: next(clock))
    record = RunRecord(run="nano", created=at, spec={"a": 1}, total_tokens=1000)
    first = record.begin(
        device="cpu", mode="full", world_size=1, from_step=0, started=at, price_per_hour=2.0, from_tokens=0,
        machine=Machine(cpu="fast"),
    )  # fmt: skip
    killed = first.seen(to_tokens=300)
    assert killed.total == Total(seconds=3600.0, tokens=300, dollars=2.0, tokens_per_dollar=150.0, reason=None)
    second = killed.begin(
        device="cpu", mode="full", world_size=1, from_step=2, started=next(clock), price_per_hour=3.0, from_tokens=200
    )
    done = second.end(to_step=10, reason="finished", to_tokens=1000)
    assert [attempt.tokens for attempt in done.attempts] == [300, 800]
    assert done.total == Total(
        seconds=4 * 3600.0, tokens=1000, dollars=11.0, tokens_per_dollar=1000 / 11, reason="finished"
    )
    assert done.attempts[0].machine == Machine(cpu="fast")
    assert done.attempts[0].job_sha256 == done.attempts[1].job_sha256 == job_sha256({"a": 1})


def test_dollars_are_unknown_where_one_price_is() -> None:
    record = RunRecord(run="nano", created=now(), spec={}, total_tokens=1)
    record = record.begin(device="cpu", mode="full", world_size=1, from_step=0, price_per_hour=1.0, from_tokens=0)
    record = record.end(to_step=1, reason="SIGTERM", to_tokens=5)
    record = record.begin(device="cpu", mode="full", world_size=1, from_step=1, from_tokens=5)
    assert record.total is not None
    assert (record.total.tokens, record.total.dollars, record.total.tokens_per_dollar) == (5, None, None)


def test_the_job_s_hash_does_not_depend_on_the_order_of_settings() -> None:
    assert job_sha256({"a": 1, "b": {"c": 2, "d": 3}}) == job_sha256({"b": {"d": 3, "c": 2}, "a": 1})
    assert job_sha256({"a": 1}) != job_sha256({"a": 2})


def test_a_record_of_an_older_version_is_read() -> None:
    old = b"""{"run": "a", "created": "2026-01-02T00:00:00Z", "spec": {}, "total_tokens": 9, "attempts": [{"started":
    "2026-01-02T00:00:00Z", "device": "cpu", "mode": "full", "world_size": 1, "from_step": 0, "to_step": 3,
    "ended": "2026-01-02T01:00:00Z", "reason": "finished", "price_per_hour": 2.0}]}"""
    record = decode_run(old, "run.json")
    assert record.total is None
    assert record.attempts[0].machine == Machine()
    assert record.attempts[0].tokens is None
    assert record.cost == 2.0


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "stopped by SIGINT"),
        (KeyboardInterrupt(signal.SIGTERM), "stopped by SIGTERM"),
        (Resumable("stopped by limits.idle"), "stopped by limits.idle"),
        (ValueError("x"), "ValueError('x')"),
    ],
)
def test_the_reason_of_an_end_is_in_words(error: BaseException, words: str) -> None:
    assert reason_of(error) == words
