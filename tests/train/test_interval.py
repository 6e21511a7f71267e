"""Intervals in steps and in time."""

import re

import pytest

from ten.errors import SpecError
from ten.train.interval import Interval, Timer


def test_a_bare_number_counts_steps_and_a_unit_means_time() -> None:
    assert Interval.parse(500) == Interval.parse("500") == Interval(steps=500)
    assert Interval.parse("10m") == Interval(seconds=600.0)


@pytest.mark.parametrize("value", [-1, "-5", "0s", "10 parsecs", "often", ""])
def test_nonsense_is_refused_with_its_value(value: str | int) -> None:
    with pytest.raises(SpecError, match=re.escape(repr(value))):
        Interval.parse(value)


def test_steps_are_due_at_multiples_whatever_was_marked() -> None:
    timer = Timer(Interval(steps=3), now=0.0)
    timer.mark(1e9)
    assert [step for step in range(10) if timer.due(step, now=0.0)] == [3, 6, 9]


def test_time_is_due_once_per_mark() -> None:
    timer = Timer(Interval(seconds=10.0), now=100.0)
    assert not timer.due(1, 109.9)
    assert timer.due(1, 110.0)
    timer.mark(115.0)
    assert not timer.due(2, 124.9)
    assert timer.due(2, 125.0)


def test_zero_is_never_due() -> None:
    timer = Timer(Interval.parse(0), now=0.0)
    assert not any(timer.due(step, now=1e9) for step in range(5))
