"""run.json: a run and its attempts."""

from pathlib import Path

import pytest

from ten.errors import DataError
from ten.train.run_record import RunRecord, now, read_run, write_run


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
