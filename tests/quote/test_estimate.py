"""Quotes: hours and dollars that follow from operations, verdicts that agree with the limits."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.job import LimitSettings
from ten.model.cost import flops_per_token
from ten.model.presets import PRESETS
from ten.quote.estimate import Quote, Work, quote
from ten.quote.machines import Machine
from ten.quote.table import describe_quotes
from ten.quote.utilization import Mfu, state

L40S = Machine(name="gpu-l40sx1-48gb", gpu="L40S", gpus=1, price_per_hour=1.57)
LARGE = Work(
    tokens=10**10, step_tokens=2**18, token_flops=flops_per_token(PRESETS["large"].config, 50257), vocabulary=50257
)


def test_ten_billion_tokens_through_the_large_model_are_over_two_hundred_hours_not_two() -> None:
    found = quote(L40S, state(0.4), LARGE, LimitSettings(max_duration="2h"))
    assert found.seconds is not None and found.seconds > 200 * 3600
    assert found.dollars is not None and found.dollars == pytest.approx(1.57 * found.seconds / 3600)
    assert found.dollars_per_billion_tokens == pytest.approx(found.dollars / 10, rel=1e-5)
    assert found.fits is False and found.attempts is not None and found.attempts > 100
    assert found.fitting_tokens is not None and 0 < found.fitting_tokens < 10**8
    text = "\n".join(describe_quotes([found], "large", LARGE.tokens, LimitSettings(max_duration="2h")))
    assert f"{found.attempts:,} attempts of it" in text and "M tokens of large" in text


def test_an_unknown_card_or_utilization_gives_no_figure() -> None:
    odd = msgspec.structs.replace(L40S, gpu=None)
    limits = LimitSettings(max_duration="1s", max_cost=0.01)
    for found in (quote(odd, state(0.4), LARGE, limits), quote(L40S, None, LARGE, limits)):
        assert (found.tokens_per_s, found.seconds, found.dollars, found.fits) == (None,) * 4
        assert describe_quotes([found], "large", 1, limits)[1].count("unknown") >= 4


def test_an_unknown_price_gives_hours_and_no_dollars_and_no_verdict_on_them() -> None:
    free = msgspec.structs.replace(L40S, price_per_hour=None)
    found = quote(free, state(0.4), LARGE, LimitSettings(max_cost=1.0))
    assert found.seconds and found.dollars is None and found.dollars_per_billion_tokens is None
    assert found.fits is None
    assert quote(free, state(0.4), LARGE, LimitSettings(max_cost=1.0, max_duration="1h")).fits is False
    assert quote(free, state(0.4), LARGE, LimitSettings(max_cost=1.0, max_duration="900d")).fits is None


def test_without_limits_there_is_no_verdict() -> None:
    assert quote(L40S, state(0.4), LARGE, LimitSettings()).fits is None


@given(
    tokens=st.integers(1, 10**12),
    step=st.integers(1, 10**7),
    gpus=st.integers(1, 16),
    mfu=st.floats(0.01, 1.0),
    cents=st.integers(1, 10**7),
    minutes=st.integers(1, 10**5),
    config=st.sampled_from(list(PRESETS)),
)
def test_what_is_proposed_fits_and_what_fits_is_proposed_nothing(
    tokens: int, step: int, gpus: int, mfu: float, cents: int, minutes: int, config: str
) -> None:
    work = Work(
        tokens=tokens, step_tokens=step, token_flops=flops_per_token(PRESETS[config].config, 50257), vocabulary=50257
    )
    machine, limits = (
        msgspec.structs.replace(L40S, gpus=gpus),
        LimitSettings(max_duration=f"{minutes}m", max_cost=cents / 100),
    )
    found = quote(machine, state(mfu), work, limits)
    if found.fits:
        assert (found.fitting_tokens, found.fitting_config) == (None, None)
        assert found.attempts == 1
        return
    assert found.fits is False and found.fitting_tokens is not None and found.fitting_tokens < tokens
    if found.fitting_tokens:
        less = msgspec.structs.replace(work, tokens=found.fitting_tokens)
        assert quote(machine, state(mfu), less, limits).fits
    if found.fitting_config is not None:
        cost = flops_per_token(PRESETS[found.fitting_config].config, 50257)
        assert quote(machine, state(mfu), msgspec.structs.replace(work, token_flops=cost), limits).fits


@given(gpus=st.integers(1, 8), factor=st.integers(2, 5))
def test_more_work_takes_longer_and_more_cards_take_less(gpus: int, factor: int) -> None:
    machine = msgspec.structs.replace(L40S, gpus=gpus)
    one = quote(machine, state(0.3), LARGE, LimitSettings())
    more = quote(machine, state(0.3), msgspec.structs.replace(LARGE, tokens=LARGE.tokens * factor), LimitSettings())
    wide = quote(msgspec.structs.replace(L40S, gpus=gpus * factor), state(0.3), LARGE, LimitSettings())
    assert one.seconds and more.seconds and wide.seconds
    assert more.seconds == pytest.approx(one.seconds * factor, abs=factor)
    assert wide.seconds == pytest.approx(one.seconds / factor, abs=1)


def test_the_table_stays_within_a_hundred_columns() -> None:
    quotes = [
        Quote(machine="gpu-h200x8-1128gb", gpu="RTX 6000 Ada", gpus=8, price_per_hour=27.52,
              mfu=Mfu(value=0.4, source=source, run="train-a-long-name-of-a-dataset-xlarge"), tokens_per_s=123456.0,
              seconds=10**8, dollars=123456.78, dollars_per_billion_tokens=1234.56, attempts=1234, fits=False,
              fitting_tokens=123_456_789, fitting_config="medium")
        for source in ("assumed", "measured")
    ]  # fmt: skip
    limits = LimitSettings(max_duration="120h", max_cost=12.5)
    lines = describe_quotes(quotes, "xlarge", 10**12, limits)
    assert max(map(len, lines)) <= 100
    assert "MFU is assumed" in "\n".join(lines) and "measured, by run train-a-long-name" in "\n".join(lines)
