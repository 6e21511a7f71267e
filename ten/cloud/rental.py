"""Rental: what `ten up` would do, with its price and its worst case, before anything is made."""

import os
import time
from collections.abc import Iterator, Sequence

import msgspec

from ten import prices
from ten.cloud.carried import carried, check_carried
from ten.cloud.lease import ENDING_S, STARTUP_S, Lease, make_lease
from ten.cloud.machines import Size
from ten.cloud.offers import Candidate, candidates
from ten.cloud.unit import ENVIRONMENT
from ten.errors import CredentialsError, MissingInput, ServiceUnavailable, SpecError
from ten.job import JobSpec
from ten.launch import ranks_on
from ten.preparation import Preparation
from ten.store.opening import open_store
from ten.store.protocol import Store
from ten.text.corpus import STDLIB
from ten.text.hub_corpus import hub_name
from ten.train.run_record import decode_run
from ten.units import format_seconds

_SAME_PRICE = 0.05
_LOOK_S = 5.0
"""How long a dry run waits for the store."""


class Rental(msgspec.Struct, frozen=True, kw_only=True):
    """A job and the machines that may do it."""

    run: str
    spec: JobSpec
    candidates: tuple[Candidate, ...]
    leases: tuple[Lease | None, ...]
    """One for each; None where its price is not known."""
    spent: float
    """Dollars that earlier attempts cost, as far as the store's run.json knows."""
    asked: bool
    """Whether sizes and prices are the API's."""
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> float | None:
        """Dollars of the dearest case; None where no price is known."""
        return max((lease.dollars for lease in self.leases if lease is not None), default=None)


def plan_rental(spec: JobSpec, sizes: Sequence[Size] | None, dry_run: bool = False) -> Rental:
    """Check what can be checked for nothing and settle the rest.

    `sizes` is what the API has; None where it is not asked. Raises SpecError for a job that must not be rented for;
    with `dry_run`, what only this machine lacks is a note instead.
    """
    _refuse_unfit(spec)
    notes = list(_lacking(spec))
    if notes and not dry_run:
        raise SpecError(notes[0])
    run, found, spent = Preparation(spec).run_id, candidates(spec.resources, sizes), 0.0
    try:
        if not dry_run:
            check_carried(spec.store, carried(spec.secrets))
        spent = spent_on(open_store(spec.store, patience_s=_LOOK_S if dry_run else None), run)
    except (CredentialsError, ServiceUnavailable) as error:
        if not dry_run:
            raise
        notes.append(f"the store was not asked: {error}")
    if dry_run and (missing := [name for name in spec.secrets if not os.environ.get(name)]):
        notes.append(f"not set here: {', '.join(missing)}")
    notes += [note for one in found for note in (_moved(one), _unused(one, spec)) if note]
    now = time.time()
    leases = tuple(
        None if one.price_per_hour is None else make_lease(spec.limits, one.price_per_hour, now, spent) for one in found
    )
    if all(lease is None for lease in leases):
        make_lease(spec.limits, 0.0, now)  # a job without an end is refused whatever it costs
    return Rental(
        run=run,
        spec=spec,
        candidates=tuple(found),
        leases=leases,
        spent=spent,
        asked=sizes is not None,
        notes=tuple(notes),
    )


def spent_on(store: Store, run: str) -> float:
    """Dollars that a run's attempts cost so far, as its run.json knows."""
    try:
        return decode_run(store.read(f"runs/{run}/run.json"), f"{store.url}/runs/{run}/run.json").cost
    except MissingInput:
        return 0.0


def describe(rental: Rental, expected: Sequence[str] = ()) -> str:
    """The plan for people, with lines of what is expected beside the worst case."""
    spec, limits = rental.spec, rental.spec.limits
    bounds = [f"{name}={value}" for name in ("max_duration", "max_cost", "idle", "stop_grace")
              if (value := getattr(limits, name)) is not None]  # fmt: skip
    worst = rental.worst
    return "\n".join(
        [
            f"run      {rental.run} ({spec.mode})",
            f"image    {spec.image or 'unset'}",
            f"store    {spec.store}",
            f"secrets  {', '.join(spec.secrets) or 'none'}: by ssh to {ENVIRONMENT}, in memory alone",
            f"limits   {', '.join(bounds)}",
            "machines, asked for in this order:",
            *(f"  {_offer(one, lease)}" for one, lease in zip(rental.candidates, rental.leases, strict=True)),
            *([f"spent    ${rental.spent:.2f} by earlier attempts"] if rental.spent else []),
            *expected,
            f"worst    {_worst(worst)}",
            "then     create → wait → arm the lease → secrets → pull the image → run; the droplet destroys itself when "
            "the job ends",
            *(f"note     {note}" for note in rental.notes),
            *([] if rental.asked else [f"note     prices of {prices.AS_OF} ({prices.SOURCE}); the API was not asked"]),
        ]
    )  # fmt: skip


def _lacking(spec: JobSpec) -> Iterator[str]:
    """What a droplet wants and a new checkout has not: a store and an image that it reaches."""
    if not spec.store.startswith("s3://"):
        yield (
            f"store {spec.store!r}: a droplet's disk is gone with it; name an object store: --store s3://bucket/prefix"
        )
    if spec.image is None or "/" not in spec.image:
        yield (
            f"image {spec.image or 'unset'}: a droplet pulls its image; push yours to a registry and write "
            "--set image=registry.example.com/you/ten@sha256:…"
        )


def _refuse_unfit(spec: JobSpec) -> None:
    if spec.data.tokenizer.endswith(".json"):
        raise SpecError(
            f"data.tokenizer {spec.data.tokenizer!r}: a file of this machine; name one of the hub, or bpe:SIZE, which "
            "is trained on the text"
        )
    if spec.mode != "pretok" and spec.data.dataset != STDLIB and hub_name(spec.data.dataset) is None:
        raise SpecError(
            f"data.dataset {spec.data.dataset!r}: a file of this machine; `ten pack` it into {spec.store} here, then "
            "rent a machine with --set mode=pretok"
        )


def _offer(one: Candidate, lease: Lease | None) -> str:
    price = "price unknown" if one.price_per_hour is None else f"${one.price_per_hour:.2f}/h"
    stock = {None: "stock unknown", True: "in stock", False: "sold out"}[one.in_stock]
    told = f"{one}: {price}{' (listed)' if one.is_listed_price else ''}, {stock}"
    if lease is None:
        return told
    return f"{told}, at worst ${lease.dollars:.2f} in {format_seconds(lease.expires - lease.created)}"


def _moved(one: Candidate) -> str | None:
    """Said where a price is another than the documents have."""
    known = prices.listed(one.size)
    if known is None or one.price_per_hour is None or abs(one.price_per_hour / known.per_hour - 1) <= _SAME_PRICE:
        return None
    return f"{one.size} costs ${one.price_per_hour:.2f} an hour; in {prices.AS_OF} it was ${known.per_hour:.2f}"


def _unused(one: Candidate, spec: JobSpec) -> str | None:
    """Said where GPUs are paid for that the job does not use."""
    if one.gpus <= (used := ranks_on(spec.train, one.gpus)):
        return None
    return f"{one.size} has {one.gpus} GPUs and the job trains on {used} of them (train.ranks, train.device)"


def _worst(worst: float | None) -> str:
    if worst is None:
        return "unknown: no price is known"
    return (
        f"${worst:.2f} for this droplet: {format_seconds(STARTUP_S)} to start, the limits, the stop grace and "
        f"{format_seconds(ENDING_S)} to end"
    )
