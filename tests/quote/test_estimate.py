"""Quotes: hours and dollars that follow from operations, verdicts that agree with the limits."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.job import LimitSettings
from ten.model.cost import flops_per_token
from ten.model.presets import PRESETS
from ten.quote.estimate import Quote, Work, quote
from ten.quote.footprint import Footprint
from ten.quote.machines import Machine
from ten.quote.table import describe_quotes
from ten.quote.utilization import Mfu, Speed, state
from ten.train.settings import TrainSettings

L40S = Machine(name="gpu-l40sx1-48gb", gpu="L40S", gpus=1, price_per_hour=1.57)


def _work(config: str, tokens: int = 10**10, step_tokens: int = 2**18, **train: Any) -> Work:
    """A preset on short rows, one at a time: memory that an L40S has."""
    model = PRESETS[config].config
    settings = TrainSettings(**{"micro_batch_rows": 1, **train})
    footprint = Footprint(config=model, vocabulary=50257, seq_len=2048, train=settings)
    return Work(tokens=tokens, step_tokens=step_tokens, token_flops=flops_per_token(model, 50257), footprint=footprint)


LARGE = _work("large")


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


def test_without_limits_memory_alone_decides() -> None:
    small = msgspec.structs.replace(L40S, gpu="RTX 4000 Ada")
    assert quote(L40S, state(0.4), LARGE, LimitSettings()).fits
    found = quote(small, None, LARGE, LimitSettings())
    assert (found.fits, found.hindrances) == (False, ("memory",))
    assert found.fitting_config in PRESETS
    assert quote(small, None, _work(str(found.fitting_config)), LimitSettings()).fits
    assert quote(small, None, _work("tiny"), LimitSettings(max_duration="1h")).fits is None  # its time is not known


def test_a_machine_that_a_run_has_measured_has_its_figures() -> None:
    here = Machine(name="this machine", gpu=None, gpus=0, price_per_hour=None, speed=Speed(tokens_per_s=500.0, run="r"))
    work = _work("nano", tokens=10**6)
    found = quote(here, None, work, LimitSettings(max_duration="10m"))
    assert found.seconds == 2000 and found.hindrances == ("time",)
    assert found.fitting_tokens is not None and found.fitting_tokens <= 300_000
    lines = describe_quotes([found], "nano", work.tokens, LimitSettings(max_duration="10m"))
    assert "tokens/s of this machine are measured, by run r" in lines
    assert not any("no known GPU" in line for line in lines)
    assert quote(here, None, work, LimitSettings()).fits


def test_a_card_without_the_memory_is_told_with_what_would_fit() -> None:
    work = _work("large", memory="select", micro_batch_rows=8)
    found = quote(L40S, state(0.4), work, LimitSettings(max_cost=15.0))
    assert found.hindrances == ("memory", "money") and found.fitting_tokens is None
    text = "\n".join(describe_quotes([found], "large", work.tokens, LimitSettings(max_cost=15.0)))
    assert "no: memory, money" in text and f"{' '.join(found.cure)} would fit" in text
    assert "tokens of large" not in text


def test_a_price_that_nobody_knows_is_said_where_a_limit_needs_it() -> None:
    odd, limits = Machine(name="L40:1", gpu=None, gpus=1, price_per_hour=None), LimitSettings(max_cost=5.0)
    text = "\n".join(describe_quotes([quote(odd, None, LARGE, limits)], "large", 1, limits))
    assert "did you mean 'L40S'?" in text
    assert "limits.max_cost=5 cannot be checked without a price: L40:1" in text


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
    work = _work(config, tokens, step)
    machine, limits = (
        msgspec.structs.replace(L40S, gpus=gpus),
        LimitSettings(max_duration=f"{minutes}m", max_cost=cents / 100),
    )
    found = quote(machine, state(mfu), work, limits)
    if found.fits:
        assert found.hindrances == ()
        assert (found.fitting_tokens, found.fitting_config) == (None, None)
        assert found.attempts == 1
        return
    assert found.fits is False and found.hindrances
    if "memory" in found.hindrances:
        assert found.fitting_tokens is None
    else:
        assert found.fitting_tokens is not None and found.fitting_tokens < tokens
    if found.fitting_tokens:
        less = msgspec.structs.replace(work, tokens=found.fitting_tokens)
        assert quote(machine, state(mfu), less, limits).fits
    if found.fitting_config is not None:
        assert quote(machine, state(mfu), _work(found.fitting_config, tokens, step), limits).fits


@given(gpus=st.integers(1, 8), factor=st.integers(2, 5))
def test_more_work_takes_longer_and_more_cards_take_less(gpus: int, factor: int) -> None:
    machine = msgspec.structs.replace(L40S, gpus=gpus)
    one = quote(machine, state(0.3), LARGE, LimitSettings())
    more = quote(machine, state(0.3), msgspec.structs.replace(LARGE, tokens=LARGE.tokens * factor), LimitSettings())
    wide = quote(msgspec.structs.replace(L40S, gpus=gpus * factor), state(0.3), LARGE, LimitSettings())
    assert one.seconds and more.seconds and wide.seconds
    assert more.seconds == pytest.approx(one.seconds * factor, abs=factor)
    assert wide.seconds == pytest.approx(one.seconds / factor, abs=1)


def test_the_table_stays_within_eighty_columns() -> None:
    quotes = [
        Quote(machine="gpu-h200x8-1128gb", gpu="RTX 6000 Ada", gpus=8, price_per_hour=27.52,
              mfu=Mfu(value=0.4, source=source, run="train-a-long-name-of-a-dataset-xlarge"), tokens_per_s=123456.0,
              seconds=10**8, dollars=123456.78, dollars_per_billion_tokens=1234.56, attempts=1234, fits=False,
              hindrances=("memory", "time", "money"), memory_bytes=2**36,
              cure=("train.micro_batch_rows=2", "train.gradient_accumulation=16"),
              fitting_tokens=123_456_789, fitting_config="medium")
        for source in ("assumed", "measured")
    ]  # fmt: skip
    limits = LimitSettings(max_duration="120h", max_cost=12.5)
    lines = describe_quotes(quotes, "xlarge", 10**12, limits)
    assert max(map(len, lines[:3])) <= 80
    assert max(map(len, lines)) <= 100
    assert "MFU 0.4 is assumed" in "\n".join(lines) and "measured, by run train-a-long-name" in "\n".join(lines)
