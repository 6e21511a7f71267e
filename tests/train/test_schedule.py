"""The learning rate as a function of tokens."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.train.schedule import LearningRate, open_schedule, rate_for_width
from ten.train.settings import TrainSettings

kinds: st.SearchStrategy[Literal["wsd", "cosine", "constant"]] = st.sampled_from(["wsd", "cosine", "constant"])


@st.composite
def schedules(draw: st.DrawFn) -> LearningRate:
    total = draw(st.integers(1000, 10**12))
    warmup = draw(st.integers(0, total))
    decay = draw(st.integers(0, total))
    peak = draw(st.floats(1e-6, 1.0))
    floor = peak * draw(st.floats(0, 1))
    return LearningRate(kind=draw(kinds), peak=peak, floor=floor, warmup=warmup, decay=decay, total=total)


@given(schedules(), st.floats(0, 2))
def test_the_rate_stays_between_zero_and_the_peak(rate: LearningRate, part: float) -> None:
    tokens = part * rate.total
    assert 0 <= rate(tokens) <= rate.peak * (1 + 1e-9)
    if tokens >= rate.warmup:
        assert rate(tokens) >= rate.floor - 1e-9 * rate.peak


@given(schedules(), st.floats(0, 1.2))
def test_the_rate_has_no_jumps(rate: LearningRate, part: float) -> None:
    steepest = 2 * rate.peak / max(1, min(rate.warmup or rate.total, _fall(rate)))
    tokens = part * rate.total
    if rate.warmup and _fall(rate):
        assert abs(rate(tokens + 1) - rate(tokens)) <= steepest + 1e-12


@given(schedules())
def test_the_rate_begins_and_ends_where_it_says(rate: LearningRate) -> None:
    if rate.warmup:
        assert rate(0) == 0
        assert rate(rate.warmup - rate.warmup * 1e-9) == pytest.approx(rate.peak, rel=1e-6)
    if rate.kind != "constant" and _fall(rate):
        assert rate(rate.total) == pytest.approx(rate.floor, rel=1e-6, abs=1e-9 * rate.peak)
        assert rate(3 * rate.total) == rate(rate.total)


def test_wsd_is_flat_between_warmup_and_decay() -> None:
    rate = open_schedule(TrainSettings(warmup=0.1, decay=0.2, learning_rate=0.5), total_tokens=1000, width=1)
    assert {rate(tokens) for tokens in range(100, 801)} == {0.5}
    assert rate(900) == pytest.approx((0.5 + 0.05) / 2)


def test_neither_the_first_nor_the_last_step_has_a_rate_of_zero() -> None:
    rate = LearningRate(kind="wsd", peak=1.0, floor=0.0, warmup=100, decay=100, total=200)
    assert rate.for_step(0, 100) == 0.5
    assert rate.for_step(100, 200) == 0.5


def test_a_peak_that_is_not_set_follows_the_width() -> None:
    assert rate_for_width(128) == 2e-3
    assert rate_for_width(2048) == pytest.approx(2.5e-4)
    assert open_schedule(TrainSettings(), total_tokens=10, width=512).peak == rate_for_width(512)
    assert open_schedule(TrainSettings(learning_rate=0.1), total_tokens=10, width=512).peak == 0.1
    assert rate_for_width(8) == rate_for_width(16)


def _fall(rate: LearningRate) -> int:
    """Tokens over which the rate falls."""
    start = rate.warmup if rate.kind == "cosine" else max(rate.warmup, rate.total - rate.decay)
    return rate.total - start
