"""Claims about the retry arithmetic."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.calls.retry import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    USEFUL_BYTES_PER_S,
    Pace,
    asked_wait_s,
    backoff_s,
    passes_by_itself,
)

CHANCES = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 10_000), CHANCES)
def test_a_wait_is_bounded_and_grows_by_no_more_than_doubling(failures: int, chance: float) -> None:
    wait = backoff_s(failures, chance)
    assert FIRST_WAIT_S / 2 <= wait <= LONGEST_WAIT_S
    assert wait <= backoff_s(failures + 1, chance) <= 2 * wait


@given(st.integers(0, 10_000), CHANCES, CHANCES)
def test_chance_spreads_callers_over_half_the_wait(failures: int, one: float, other: float) -> None:
    assert 0.5 <= backoff_s(failures, one) / backoff_s(failures, other) <= 2


@given(st.integers(0, 10**9 - 1))
def test_seconds_are_taken_as_they_are(seconds: int) -> None:
    assert asked_wait_s({"Retry-After": str(seconds)}) == seconds
    assert asked_wait_s({"RateLimit": f'"api";r=0;t={seconds}'}) == seconds


@given(st.integers(-100_000, 100_000))
def test_a_date_becomes_the_time_until_it_and_never_less_than_none(seconds: int) -> None:
    now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    assert asked_wait_s({"Retry-After": date}, now) == max(0, seconds)


@given(st.text(max_size=40))
def test_no_header_breaks_the_arithmetic(text: str) -> None:
    for name in ("Retry-After", "RateLimit"):
        wait = asked_wait_s({name: text})
        assert wait is None or wait >= 0


@pytest.mark.parametrize("text", ["", "-3", "soon", "1e9", "nan", "³", "Fri, 99 Foo 2026 00:00:00 GMT"])
def test_what_is_neither_seconds_nor_a_date_asks_for_nothing(text: str) -> None:
    assert asked_wait_s({"Retry-After": text}) is None
    assert asked_wait_s({"Retry-After": text, "RateLimit": '"api";r=0;t=7'}) == 7


def test_only_what_says_later_is_tried_again() -> None:
    assert [status for status in range(100, 600) if passes_by_itself(status)] == [408, 425, 429, *range(500, 600)]


@given(st.floats(0.5, 60), st.integers(1, 5_000), st.floats(0.01, 5))
def test_a_steady_rate_is_useful_or_not_by_its_bytes_per_second(window: float, count: int, every: float) -> None:
    pace, now, slow = Pace(window, 0.0), 0.0, False
    while now < 3 * window and not slow:
        now += every
        pace.add(count, now)
        slow = pace.too_slow(now)
    if count / every > 1.01 * USEFUL_BYTES_PER_S and every < window / 200:
        assert not slow
    if count / every < 0.99 * USEFUL_BYTES_PER_S and every < window / 200:
        assert slow
