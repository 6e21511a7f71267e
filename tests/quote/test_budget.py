"""What a budget buys: exact in integers, never a second or a step too much."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ten.job import LimitSettings
from ten.quote.budget import (
    affordable_s,
    duration_s,
    largest_that_fits,
    seconds_needed,
    smaller_presets,
    tokens_that_fit,
)

_RATES = st.integers(1, 10**19)
_COSTS = st.integers(1, 10**12)


@given(flops=st.integers(1, 10**26), rate=_RATES)
def test_needed_seconds_are_enough_and_one_less_is_not(flops: int, rate: int) -> None:
    seconds = seconds_needed(flops, rate)
    assert seconds * rate >= flops > (seconds - 1) * rate


@given(seconds=st.integers(0, 10**8), rate=_RATES, cost=_COSTS, step=st.integers(1, 10**7))
def test_the_tokens_that_fit_are_whole_steps_and_one_more_step_does_not_fit(
    seconds: int, rate: int, cost: int, step: int
) -> None:
    tokens = tokens_that_fit(seconds, rate, cost, step)
    assert tokens % step == 0
    assert tokens * cost <= seconds * rate < (tokens + step) * cost


@given(cents=st.integers(1, 10**8), price_cents=st.integers(1, 10**5))
def test_affordable_seconds_cost_no_cent_more_than_the_limit(cents: int, price_cents: int) -> None:
    seconds = affordable_s(LimitSettings(max_cost=cents / 100), price_cents / 100)
    assert seconds is not None
    assert Fraction(price_cents * seconds, 3600) <= cents < Fraction(price_cents * (seconds + 1), 3600)


def test_without_limit_or_price_nothing_is_reckoned() -> None:
    assert affordable_s(LimitSettings(max_cost=5), None) is None
    assert affordable_s(LimitSettings(max_cost=5), 0.0) is None
    assert affordable_s(LimitSettings(), 1.57) is None
    assert duration_s(LimitSettings()) is None
    assert duration_s(LimitSettings(max_duration="90m")) == 5400


@given(
    flops=st.integers(0, 10**24),
    tokens=st.integers(1, 10**12),
    costs=st.lists(_COSTS, unique=True, max_size=6),
)
def test_the_largest_that_fits_fits_and_no_larger_one_does(flops: int, tokens: int, costs: list[int]) -> None:
    sizes = {str(cost): cost for cost in costs}
    found = largest_that_fits(flops, tokens, sizes.items())
    fitting = [cost for cost in costs if cost * tokens <= flops]
    assert found == (str(max(fitting)) if fitting else None)


def test_smaller_presets_cost_less_and_leave_the_model_out() -> None:
    every = dict(smaller_presets(10**18, 50257))
    below = dict(smaller_presets(every["large"], 50257))
    assert list(every) == ["tiny", "small", "medium", "large", "xlarge"]
    assert list(below) == ["tiny", "small", "medium"]
