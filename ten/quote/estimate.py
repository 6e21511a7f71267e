"""Estimate: one machine's rate, time and price for a job's training, and whether its memory and limits allow it."""

from typing import Literal

import msgspec

from ten.job import LimitSettings
from ten.model.memory import Level
from ten.model.presets import PRESETS
from ten.quote.budget import (
    affordable_s,
    duration_s,
    largest_that_fits,
    seconds_needed,
    smaller_presets,
    tokens_that_fit,
)
from ten.quote.footprint import Footprint
from ten.quote.machines import Machine
from ten.quote.utilization import Mfu, Speed

Hindrance = Literal["memory", "time", "money"]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be trained."""

    tokens: int
    step_tokens: int
    token_flops: int
    """Operations for one token, forward and backward."""
    footprint: Footprint


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
    speed: Speed | None = None
    """What the figures stand on where no MFU does: a run on that machine."""
    memory_level: Level | None = None
    """The fastest level of `train.memory` that its cards have the memory for; None for none, or an unknown card."""
    memory_bytes: int | None = None
    """On one of its GPUs, at that level; where there is none, of the level that takes least."""
    tokens_per_s: float | None = None
    seconds: int | None = None
    dollars: float | None = None
    dollars_per_billion_tokens: float | None = None
    attempts: int | None = None
    """Attempts of `limits.max_duration` that it takes; None without that limit."""
    fits: bool | None = None
    """Whether its cards have the memory, and one attempt within the job's limits trains all of it."""
    hindrances: tuple[Hindrance, ...] = ()
    """Why it does not fit."""
    cure: tuple[str, ...] = ()
    """Where memory is short: settings with which it is not; none where there are none."""
    fitting_tokens: int | None = None
    """Where the limits are too tight, and the memory is there: tokens of this model that fit."""
    fitting_config: str | None = None
    """Where it does not fit: the largest preset below this model that does with all tokens."""


def quote(machine: Machine, mfu: Mfu | None, work: Work, limits: LimitSettings) -> Quote:
    """A job's training on a machine, all of whose cards are at work, at a utilization."""
    found = Quote(
        machine=machine.name, gpu=machine.gpu, gpus=machine.gpus, price_per_hour=machine.price_per_hour, mfu=mfu,
        speed=machine.speed,
    )  # fmt: skip
    if machine.card is not None:
        level = work.footprint.level_on(machine.card, machine.gpus)
        found = msgspec.structs.replace(
            found,
            memory_level=None if level is None else level.level,
            memory_bytes=work.footprint.least(machine.gpus) if level is None else level.bytes,
            cure=work.footprint.cure(machine.card, machine.gpus) if level is None else (),
        )
    rate = _rate(machine, mfu, work)
    return _judged(found if rate is None else _reckoned(found, rate, work, limits), machine, rate, work, limits)


def _rate(machine: Machine, mfu: Mfu | None, work: Work) -> int | None:
    """Operations a second; None where nothing tells."""
    if machine.speed is not None:
        return max(1, round(machine.speed.tokens_per_s * work.token_flops))
    return None if machine.peak_flops is None or mfu is None else max(1, round(machine.peak_flops * mfu.value))


def _reckoned(found: Quote, rate: int, work: Work, limits: LimitSettings) -> Quote:
    """The quote with its time and its price at so many operations a second."""
    price, longest = found.price_per_hour, duration_s(limits)
    seconds, per_s = seconds_needed(work.tokens * work.token_flops, rate), rate / work.token_flops
    return msgspec.structs.replace(
        found,
        tokens_per_s=per_s,
        seconds=seconds,
        dollars=None if price is None else price * seconds / 3600,
        dollars_per_billion_tokens=None if price is None else price * 1e9 / per_s / 3600,
        attempts=None if longest is None else -(-seconds // longest),
    )


def _judged(found: Quote, machine: Machine, rate: int | None, work: Work, limits: LimitSettings) -> Quote:
    """The quote with a verdict and, where it does not fit, what does."""
    bounds = {"time": duration_s(limits), "money": affordable_s(limits, found.price_per_hour)}
    known = {name: bound for name, bound in bounds.items() if bound is not None}
    hindrances: list[str] = ["memory"] if machine.card is not None and found.memory_level is None else []
    if found.seconds is not None:
        hindrances += [name for name, bound in known.items() if found.seconds > bound]
    if not hindrances:
        is_strange = machine.card is None and machine.speed is None
        is_open = is_strange or (found.price_per_hour is None and limits.max_cost is not None)
        return msgspec.structs.replace(found, fits=None if is_open or (known and found.seconds is None) else True)
    refused = msgspec.structs.replace(found, fits=False, hindrances=tuple(hindrances))
    most, tokens = work.tokens * work.token_flops, None
    if known:
        if rate is None:
            return refused  # what the limits leave is not known
        longest = min(known.values())
        most = longest * rate
        if "memory" not in hindrances:
            tokens = tokens_that_fit(longest, rate, work.token_flops, work.step_tokens)
    return msgspec.structs.replace(
        refused, fitting_tokens=tokens, fitting_config=largest_that_fits(most, work.tokens, _smaller(machine, work))
    )


def _smaller(machine: Machine, work: Work) -> list[tuple[str, int]]:
    """The smaller presets for which the machine has the memory, each with its operations for a token."""
    card = machine.card
    if card is None:
        return []
    presets = smaller_presets(work.token_flops, work.footprint.vocabulary)
    of = {name: msgspec.structs.replace(work.footprint, config=PRESETS[name].config) for name, _ in presets}
    return [(name, cost) for name, cost in presets if of[name].level_on(card, machine.gpus) is not None]
