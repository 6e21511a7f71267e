"""Axes: ticks at round numbers, inside, few; values at their pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.report.axis import Axis, alike, around, count, dollars, duration, percent, plain

_RANGES = st.tuples(st.floats(1e-6, 1e12), st.floats(1.001, 1e9))


@given(_RANGES, st.integers(2, 9))
def test_linear_ticks_are_round_inside_and_few(bounds: tuple[float, float], most: int) -> None:
    low, high = bounds[0], bounds[0] * bounds[1]
    ticks = Axis(low, high, 0, 100).ticks(most)
    assert len(ticks) <= most + 1
    assert all(low - 1e-6 * high <= tick <= high * (1 + 1e-6) for tick in ticks)
    if len(ticks) > 1:
        step = ticks[1] - ticks[0]
        digit = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(digit - nice) for nice in (1, 2, 5, 10)) < 1e-3


@given(_RANGES, st.integers(2, 9))
def test_log_ticks_are_inside_and_few(bounds: tuple[float, float], most: int) -> None:
    low, high = bounds[0], bounds[0] * bounds[1]
    ticks = Axis(low, high, 0, 100, log=True).ticks(most)
    assert len(ticks) <= most + 1
    assert all(low * (1 - 1e-6) <= tick <= high * (1 + 1e-6) for tick in ticks)


def test_values_lie_where_they_should() -> None:
    assert Axis(0, 10, 100, 0).at(2.5) == 75
    assert Axis(1, 100, 0, 50, log=True).at(10) == pytest.approx(25)
    assert Axis(0, 10, 0, 100).ticks(5) == [0, 2, 4, 6, 8, 10]


def test_a_range_has_room_for_its_values_whatever_they_are() -> None:
    for values in ([], [3.0], [0.0], [-2.0, -2.0], [math.nan], [1e-9, 1e9], [5.0, 5.0 + 1e-15]):
        for log in (False, True):
            axis = around(np.array(values), 0, 100, log=log)
            assert axis.low < axis.high
            assert math.isfinite(axis.at(axis.low)) and axis.ticks() is not None
    assert around(np.array([1.0, 2.0]), 0, 1, zero=True).low == 0.0
    assert around(np.array([*range(100), 1e6]), 0, 1, crop=0.02).high < 200


def test_numbers_say_no_more_than_they_must() -> None:
    assert [count(value) for value in (0, 50, 1500, 2_000_000, 1.5e9)] == ["0", "50", "1.5K", "2M", "1.5B"]
    assert [plain(value) for value in (0.0, 2.5, 3.0, 0.0001, 12345.0)] == ["0", "2.5", "3", "0.0001", "12345"]
    assert [percent(0.4), percent(0.125)] == ["40%", "12.5%"]
    assert [dollars(value) for value in (0.0, 5.0, 2.5, 0.004, 1200.0)] == ["$0", "$5", "$2.50", "$0.004", "$1,200"]
    assert [duration(value) for value in (0, 30, 90, 600, 7200, 400_000)] == ["0s", "30s", "90s", "10m", "2h", "4.63d"]
    assert alike(plain, [2.8, 3.0, 3.2]) == ["2.8", "3.0", "3.2"]
    assert alike(plain, [0.0, 0.001, 0.0015]) == ["0", "0.0010", "0.0015"]
    assert alike(count, [1000.0, 1500.0]) == ["1K", "1.5K"]
