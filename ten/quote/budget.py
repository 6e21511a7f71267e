"""Budget: the seconds that a job's limits leave on a machine, and what can be trained in them. Integers alone."""

from collections.abc import Iterable
from fractions import Fraction
from math import floor

from ten.job import LimitSettings
from ten.model.cost import flops_per_token
from ten.model.presets import PRESETS
from ten.quote.utilization import LEAST_TOKEN_FLOPS
from ten.units import parse_seconds


def duration_s(limits: LimitSettings) -> int | None:
    """Whole seconds of one attempt, one at least; None without a limit."""
    return None if limits.max_duration is None else max(1, floor(parse_seconds(limits.max_duration)))


def affordable_s(limits: LimitSettings, price_per_hour: float | None) -> int | None:
    """Whole seconds that `max_cost` pays for; None where there is no such limit, no price, or nothing to pay."""
    if limits.max_cost is None or not price_per_hour:
        return None
    return floor(Fraction(str(limits.max_cost)) / Fraction(str(price_per_hour)) * 3600)


def seconds_needed(flops: int, flops_per_s: int) -> int:
    """Seconds that so many operations take, rounded up."""
    return -(-flops // flops_per_s)


def tokens_that_fit(seconds: int, flops_per_s: int, token_flops: int, step_tokens: int) -> int:
    """Tokens trained on in so many seconds, in whole steps."""
    return seconds * flops_per_s // (token_flops * step_tokens) * step_tokens


def largest_that_fits(flops: int, tokens: int, sizes: Iterable[tuple[str, int]]) -> str | None:
    """Of models with their operations for a token, the largest that `flops` train on `tokens`; None for none."""
    fitting = [(cost, name) for name, cost in sizes if cost * tokens <= flops]
    return max(fitting)[1] if fitting else None


def smaller_presets(token_flops: int, vocabulary: int) -> list[tuple[str, int]]:
    """The presets that take fewer operations for a token than `token_flops`, each with its own; none that is too small
    for a larger model's utilization to be its own."""
    sizes = [(name, flops_per_token(preset.config, vocabulary)) for name, preset in PRESETS.items()]
    return [(name, cost) for name, cost in sizes if LEAST_TOKEN_FLOPS <= cost < token_flops]
