"""Forecast: what a job is expected to take on the machines it is rented, beside its worst case."""

from collections.abc import Sequence

import msgspec

from ten import prices
from ten.calls.patience import impatient
from ten.cloud.offers import Candidate
from ten.errors import CredentialsError, ServiceUnavailable, TenError
from ten.job import JobSpec
from ten.plan import Plan, make_plan
from ten.preparation import Preparation
from ten.quote.estimate import Quote
from ten.quote.machines import Machine
from ten.quote.table import describe_refusals
from ten.units import format_seconds

_FOLDER = "ten-data"
"""A store that nobody must be asked for; what it has of the job is used, and it need not be there."""


def forecast(spec: JobSpec, candidates: Sequence[Candidate]) -> list[str]:
    """Lines with the time and price of the job's training on each size, and why it does not fit where it does not.

    What keeps it from being known is a line too: nothing is raised for it.
    """
    if spec.mode == "pack":
        return []
    try:
        with impatient():
            plan = _plan(spec, tuple(dict.fromkeys(map(_machine, candidates))))
    except TenError as error:
        return [f"expected unknown: {error}"]
    lines = [f"expected {_expected(quote)}" for quote in plan.quotes]
    return lines + describe_refusals(plan.quotes, plan.config, plan.tokens, plan.limits)


def _plan(spec: JobSpec, machines: tuple[Machine, ...]) -> Plan:
    """The job on these machines; as over a folder where its store does not let us look."""
    try:
        return make_plan(Preparation(spec), on=machines)
    except (CredentialsError, ServiceUnavailable):
        return make_plan(Preparation(msgspec.structs.replace(spec, store=_FOLDER)), on=machines)


def _machine(one: Candidate) -> Machine:
    """The size with its price of today."""
    known = prices.listed(one.size)
    gpu, gpus = (known.gpu, known.gpus) if known else (None, max(1, one.gpus))
    return Machine(name=one.size, gpu=gpu, gpus=gpus, price_per_hour=one.price_per_hour)


def _expected(quote: Quote) -> str:
    if quote.seconds is None or quote.mfu is None:
        why = "its GPU is not known" if quote.gpu is None else "no MFU is known (`ten plan` says of which jobs)"
        return f"unknown on {quote.machine}: {why}"
    price = "price unknown" if quote.dollars is None else f"${quote.dollars:,.2f}"
    time = f"{format_seconds(quote.seconds)} of training at an MFU of {quote.mfu.value:.2f} ({quote.mfu.source})"
    return f"{price} on {quote.machine}: {time}"
