"""Table: quotes for people, in eighty columns, and what they stand on."""

from collections.abc import Sequence

from ten import prices
from ten.hardware import find_gpu
from ten.job import LimitSettings
from ten.quote.estimate import Quote
from ten.quote.machines import lookalikes
from ten.units import format_bytes, format_count, format_seconds

_HEADS = ("machine", "$/h", "tokens/s", "time", "dollars", "fits")
_LEFT = {"machine", "fits"}
_UNKNOWN = "unknown"


def describe_quotes(quotes: Sequence[Quote], config: str, tokens: int, limits: LimitSettings) -> list[str]:
    """Lines with one row a machine, then what does not fit and what would, then where the figures are from."""
    rows = [_HEADS, *(_row(quote) for quote in quotes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "  ".join(
            text.ljust(width) if head in _LEFT else text.rjust(width)
            for head, text, width in zip(_HEADS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return [*lines, *describe_refusals(quotes, config, tokens, limits), *_sources(quotes, limits)]


def describe_refusals(quotes: Sequence[Quote], config: str, tokens: int, limits: LimitSettings) -> list[str]:
    """What is not possible, with the arithmetic, and what is."""
    lines: list[str] = []
    for quote in (quote for quote in quotes if quote.fits is False):
        lines.append(f"does not fit on {quote.machine}:")
        if "memory" in quote.hindrances:
            lines += _memory(quote)
        if "time" in quote.hindrances:
            needed = format_seconds(quote.seconds or 0)
            lines.append(f"  {needed} in limits.max_duration={limits.max_duration}: {quote.attempts:,} attempts of it")
        if "money" in quote.hindrances:
            lines.append(f"  ${_dollars(quote.dollars)} in limits.max_cost={limits.max_cost:g}")
        ways = [f"{format_count(quote.fitting_tokens)} tokens of {config}"] if quote.fitting_tokens else []
        if quote.fitting_config is not None:
            rate = " at the same MFU" if quote.mfu is not None else ""
            ways.append(f"all {format_count(tokens)} tokens of {quote.fitting_config}{rate}")
        nothing = "no smaller preset" if "memory" in quote.hindrances else "not one step, nor a smaller preset"
        lines.append(f"  what fits: {', or '.join(ways) or nothing}")
    return lines


def _memory(quote: Quote) -> list[str]:
    card = None if quote.gpu is None else find_gpu(quote.gpu)
    if card is None:
        return []
    size, there = format_bytes(quote.memory_bytes or 0), format_bytes(card.memory_bytes)
    same = "; the steps stay the same" if any("accumulation" in setting for setting in quote.cure) else ""
    cure = (
        f"{' '.join(quote.cure)} would fit{same}"
        if quote.cure
        else "no train.micro_batch_rows or train.segment is small enough"
    )
    return [f"  {size} of memory a GPU at least; {card.name} has {there}, less what it keeps back", f"  {cure}"]


def _row(quote: Quote) -> tuple[str, ...]:
    fits = {None: _UNKNOWN, True: "yes", False: f"no: {', '.join(quote.hindrances)}"}[quote.fits]
    return (
        quote.machine,
        _UNKNOWN if quote.price_per_hour is None else f"{quote.price_per_hour:.2f}",
        _UNKNOWN if quote.tokens_per_s is None else format_count(quote.tokens_per_s),
        _UNKNOWN if quote.seconds is None else format_seconds(quote.seconds),
        _dollars(quote.dollars),
        fits,
    )


def _dollars(amount: float | None) -> str:
    return _UNKNOWN if amount is None else f"{amount:,.2f}" if amount < 1000 else f"{amount:,.0f}"


def _sources(quotes: Sequence[Quote], limits: LimitSettings) -> list[str]:
    lines = [
        "time is that of training alone; start, packing, evaluation, checkpoints come on top",
        f"prices of {prices.AS_OF} ({prices.SOURCE}) or the job's; today's: `ten sizes`",
    ]
    lines += [f"{quote.machine}: no known GPU, nothing is reckoned; {lookalikes(quote.machine)}"
              for quote in quotes if quote.gpu is None and quote.speed is None]  # fmt: skip
    lines += [f"tokens/s of {quote.machine} are measured, by run {quote.speed.run}" for quote in quotes if quote.speed]
    unpriced = [quote.machine for quote in quotes if quote.price_per_hour is None]
    if unpriced and limits.max_cost is not None:
        lines.append(
            f"limits.max_cost={limits.max_cost:g} cannot be checked without a price: {', '.join(unpriced)}; "
            "state resources.price_per_hour"
        )
    return [*lines, *_utilizations(quotes)]


def _utilizations(quotes: Sequence[Quote]) -> list[str]:
    """Which MFU was reckoned with, and where it is from."""
    reckoned = [quote for quote in quotes if quote.gpu is not None]
    lines = []
    for quote in reckoned:
        if quote.mfu is None:
            lines.append("MFU of fp32 and of small models is not assumed: state it with --mfu, or train a little")
        elif quote.mfu.source == "measured":
            lines.append(f"MFU {quote.mfu.value:.2f} of {quote.gpu} is measured, by run {quote.mfu.run}")
        elif quote.mfu.source == "assumed":
            lines.append(
                f"MFU {quote.mfu.value:g} is assumed: state yours with --mfu, or train a little and plan again"
            )
        else:
            lines.append(f"MFU {quote.mfu.value:g} as stated")
    if any(quote.gpus > 1 for quote in quotes):
        lines.append("several GPUs are counted as if all were at work at that MFU")
    return list(dict.fromkeys(lines))
