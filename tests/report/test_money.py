"""What a run had cost at each step comes to what its receipt says."""

from pathlib import Path

import numpy as np
import pytest

from ten.report.events import find_events
from ten.report.history import History, read_history
from ten.report.money import dollars_at
from ten.train.run_record import RunRecord, read_run
from tests.report.runs import SECONDS, make_run


def _run(folder: Path) -> tuple[RunRecord, History]:
    record = read_run(folder / "run.json")
    assert record is not None
    return record, read_history(folder / "metrics.jsonl")


def test_dollars_grow_to_the_sum_of_all_attempts(tmp_path: Path) -> None:
    record, history = _run(make_run(tmp_path / "tale", steps=300, price=3.6))
    dollars = dollars_at(record, history)
    assert dollars is not None
    assert np.all(np.diff(dollars) >= 0)
    second = 0.001  # of 3.6 dollars an hour
    assert dollars[0] == pytest.approx((50 + SECONDS) * second)  # the time before the first step is paid for first
    assert dollars[99] == pytest.approx(record.attempts[0].cost)
    assert dollars[-1] == pytest.approx(record.cost)


def test_no_dollars_where_one_attempt_has_no_price(tmp_path: Path) -> None:
    assert dollars_at(*_run(make_run(tmp_path / "tale", price=None))) is None


def test_events_are_in_order_and_say_what_happened(tmp_path: Path) -> None:
    events = find_events(*_run(make_run(tmp_path / "tale", steps=300)))
    assert [(event.at.step, event.what, event.mark) for event in events] == [
        (100, "stopped by SIGTERM", None),
        (100, "restart on NVIDIA L40S", "line"),
        (150, "spike: step skipped", "tick"),
        (200, "killed; what it did after step 200 was lost", None),
        (200, "restart on NVIDIA L40S", "line"),
        (300, "finished", None),
    ]
