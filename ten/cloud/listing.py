"""Listing: what `ten ps` says of our droplets, and `ten sizes` of what can be rented."""

from collections.abc import Mapping, Sequence

import msgspec

from ten import prices
from ten.cloud.machines import Droplet, Size
from ten.runs_list import RunSummary
from ten.units import format_seconds


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """A droplet that is billed now."""

    droplet: Droplet
    age_s: float
    cost: float | None
    """Dollars so far; None where its price is not known."""
    lease_left_s: float | None
    """Negative where it is over; None where it has none."""
    run: RunSummary | None
    """Its run as the store has it."""


def live(droplets: Sequence[Droplet], runs: Mapping[str, RunSummary], now: float) -> list[Live]:
    """The droplets, with what the store knows of their runs."""
    return [
        Live(
            droplet=one,
            age_s=one.age_s(now),
            cost=one.cost(now),
            lease_left_s=None if one.expires is None else one.expires - now,
            run=runs.get(one.run or ""),
        )
        for one in droplets
    ]


def describe_live(found: Sequence[Live]) -> str:
    """A table for people."""
    if not found:
        return "no droplet of ours is there: nothing is billed"
    known = [one.cost for one in found if one.cost is not None]
    table = _table(("run", "droplet", "address", "size", "age", "cost", "lease", "saved"), [_row(one) for one in found])
    return f"{table}\n${sum(known):.2f} so far" + ("" if len(known) == len(found) else ", and what is not known")


def describe_sizes(sizes: Sequence[Size] | None) -> str:
    """GPU sizes, their price and where they are in stock; from the table where the API was not asked."""
    if sizes is None:
        rows = [(slug, one.cards, f"{one.vram_gib} GB", f"${one.per_hour:.2f}", "unknown")
                for slug, one in prices.listed_sizes().items()]  # fmt: skip
        note = f"\nprices of {prices.AS_OF} ({prices.SOURCE}); set DIGITALOCEAN_TOKEN for today's and for the stock"
    else:
        rows = [(one.slug, f"{one.gpus} × {one.gpu}", f"{one.vram_gib} GB", f"${one.price_per_hour:.2f}",
                 " ".join(one.regions) if one.available else "sold out")
                for one in sorted(sizes, key=lambda one: one.price_per_hour) if one.gpu]  # fmt: skip
        note = ""
    return _table(("size", "GPU", "memory", "an hour", "in stock"), rows) + note


def _row(one: Live) -> tuple[str, ...]:
    droplet, run = one.droplet, one.run
    left = one.lease_left_s
    lease = "none" if left is None else f"{format_seconds(left)} left" if left > 0 else "over: ten reap"
    saved = "-"
    if run is not None and run.age_s is not None:
        saved = f"step {run.step}, {format_seconds(run.age_s)} ago"
    price = "" if droplet.price_per_hour is None else f" at ${droplet.price_per_hour:.2f}/h"
    return (
        droplet.run or "-",
        droplet.name,
        droplet.address or droplet.status,
        f"{droplet.size} {droplet.region}",
        format_seconds(one.age_s),
        "unknown" if one.cost is None else f"${one.cost:.2f}{price}",
        lease,
        saved,
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
