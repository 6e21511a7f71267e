"""Estimate: one machine's rate, time and price for a job's training, and whether its limits allow it."""

import msgspec

from ten.job import LimitSettings
from ten.quote.budget import (
    affordable_s,
    duration_s,
    largest_that_fits,
    seconds_needed,
    smaller_presets,
    tokens_that_fit,
)
from ten.quote.machines import Machine
from ten.quote.utilization import Mfu


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be trained."""

    tokens: int
    step_tokens: int
    token_flops: int
    """Operations for one token, forward and backward."""
    vocabulary: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's training takes on a machine, start, packing, evaluation and checkpoints not counted.

    None is unknown, never zero.
    """

    machine: str
    gpu: str | None
    gpus: int
    price_per_hour: float | None
    """Dollars."""
    mfu: Mfu | None
    tokens_per_s: float | None = None
    seconds: int | None = None
    dollars: float | None = None
    dollars_per_billion_tokens: float | None = None
    attempts: int | None = None
    """Attempts of `limits.max_duration` that it takes; None without that limit."""
    fits: bool | None = None
    """Whether one attempt within the job's limits trains all of it; None where that is not known or nothing limits."""
    fitting_tokens: int | None = None
    """Where it does not fit: tokens of this model that do."""
    fitting_config: str | None = None
    """Where it does not fit: the largest preset below this model that does with all tokens."""


def quote(machine: Machine, mfu: Mfu | None, work: Work, limits: LimitSettings) -> Quote:
    """A job's training on a machine, all of whose cards are at work, at a utilization."""
    bare = Quote(
        machine=machine.name, gpu=machine.gpu, gpus=machine.gpus, price_per_hour=machine.price_per_hour, mfu=mfu
    )
    if machine.peak_flops is None or mfu is None:
        return bare
    rate = max(1, round(machine.peak_flops * mfu.value))
    flops, price = work.tokens * work.token_flops, machine.price_per_hour
    seconds, longest = seconds_needed(flops, rate), duration_s(limits)
    per_s = rate / work.token_flops
    reckoned = msgspec.structs.replace(
        bare,
        tokens_per_s=per_s,
        seconds=seconds,
        dollars=None if price is None else price * seconds / 3600,
        dollars_per_billion_tokens=None if price is None else price * 1e9 / per_s / 3600,
        attempts=None if longest is None else -(-seconds // longest),
    )
    return _judged(reckoned, rate, work, limits)


def _judged(reckoned: Quote, rate: int, work: Work, limits: LimitSettings) -> Quote:
    """The quote with a verdict and, where it does not fit, what does."""
    seconds, price = reckoned.seconds or 0, reckoned.price_per_hour
    bounds = [bound for bound in (duration_s(limits), affordable_s(limits, price)) if bound is not None]
    if not bounds or (seconds <= min(bounds) and limits.max_cost is not None and price is None):
        return reckoned
    longest = min(bounds)
    if seconds <= longest:
        return msgspec.structs.replace(reckoned, fits=True)
    smaller = smaller_presets(work.token_flops, work.vocabulary)
    return msgspec.structs.replace(
        reckoned,
        fits=False,
        fitting_tokens=tokens_that_fit(longest, rate, work.token_flops, work.step_tokens),
        fitting_config=largest_that_fits(longest * rate, work.tokens, smaller),
    )
