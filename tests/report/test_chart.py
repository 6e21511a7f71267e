"""Lines that keep their extremes when thinned, break at gaps, and stay apart at their ends."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ten.report.axis import plain
from ten.report.chart import Chart, Series, draw, thin

CHART = Chart(title="loss", x_name="tokens", x_form=plain)


def _series(values: list[float], label: str = "A run", colour: int = 0) -> Series:
    array = np.array(values)
    x = np.arange(1.0, len(values) + 1)
    return Series(label=label, colour=colour, x=x, low=array, high=array, mean=array)


def test_a_thinned_line_keeps_every_extreme() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    values[[7, 2500, 4999]] = [50.0, -50.0, 60.0]
    thinned = thin(_series(list(values)), 200)
    assert len(thinned.x) <= 200
    assert (thinned.low.min(), thinned.high.max()) == (-50.0, 60.0)
    assert thinned.x[-1] == 5000
    assert np.all(np.diff(thinned.x) > 0)
    assert np.average(thinned.mean) == pytest.approx(values.mean(), abs=0.01)


def test_a_short_line_is_left_alone() -> None:
    series = _series([1.0, 2.0])
    assert thin(series, 100) is series


def test_a_gap_breaks_the_line_and_nothing_measured_is_said() -> None:
    nan = float("nan")
    svg = draw(CHART, [_series([1.0, 2.0, nan, 3.0, nan])], "x")
    (path,) = re.findall(r'<path class="line c0" d="([^"]*)"', svg)
    assert path.count("M") == 2
    assert "nan" not in svg
    assert "A run: loss was not measured." in draw(CHART, [_series([nan, nan])], "x")


def test_what_lies_above_the_chart_is_said() -> None:
    values = [50.0, *(1.0 + 0.001 * n for n in range(99))]
    assert "↑ up to 50<" in draw(replace(CHART, crop=0.02), [_series(values)], "x")
    assert "↑" not in draw(CHART, [_series(values)], "x")


def test_an_axis_has_a_name_and_room_where_they_are_asked_for() -> None:
    def last(chart: Chart) -> float:
        dots = re.findall(r"M([\d.]+) [\d.]+h0", draw(chart, [_series([1.0, 2.0])], "x"))
        return float(dots[-1])

    close = replace(CHART, dots=True)
    assert last(replace(close, x_room=0.5)) < last(close)
    assert ">layer</text>" in draw(replace(CHART, x_title="layer"), [_series([1.0, 2.0])], "x")


def test_letters_at_the_ends_of_lines_do_not_touch() -> None:
    runs = [_series([5.0, 1.0 + 0.001 * n], label=f"{letter} run", colour=n) for n, letter in enumerate("ABCD")]
    svg = draw(CHART, runs, "x")
    ends = sorted(float(y) for y in re.findall(r'class="end c\d" x="[^"]*" y="([^"]*)"', svg))
    assert len(ends) == 4
    assert all(below - above >= 11.9 for above, below in pairwise(ends))
