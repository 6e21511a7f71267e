"""Table: quotes for people, in a hundred columns, and what they stand on."""

from collections.abc import Sequence

from ten import prices
from ten.job import LimitSettings
from ten.quote.budget import affordable_s
from ten.quote.estimate import Quote
from ten.units import format_count, format_seconds

_HEADS = ("machine", "GPU", "$/h", "MFU", "tokens/s", "time", "dollars", "$/B tokens", "fits")
_LEFT = {"machine", "GPU", "fits"}
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
    return [*lines, *_refusals(quotes, config, tokens, limits), *_sources(quotes)]


def _row(quote: Quote) -> tuple[str, ...]:
    gpu = _UNKNOWN if quote.gpu is None else quote.gpu if quote.gpus == 1 else f"{quote.gpus} × {quote.gpu}"
    return (
        quote.machine,
        gpu,
        _UNKNOWN if quote.price_per_hour is None else f"{quote.price_per_hour:.2f}",
        _UNKNOWN if quote.mfu is None or quote.gpu is None else f"{quote.mfu.value:.2f}",
        _UNKNOWN if quote.tokens_per_s is None else format_count(quote.tokens_per_s),
        _UNKNOWN if quote.seconds is None else format_seconds(quote.seconds),
        _dollars(quote.dollars),
        _dollars(quote.dollars_per_billion_tokens),
        {None: "-", True: "yes", False: "no"}[quote.fits],
    )


def _dollars(amount: float | None) -> str:
    return _UNKNOWN if amount is None else f"{amount:,.2f}"


def _refusals(quotes: Sequence[Quote], config: str, tokens: int, limits: LimitSettings) -> list[str]:
    """What is not possible, with the arithmetic, and what is."""
    lines: list[str] = []
    for quote in (quote for quote in quotes if quote.fits is False):
        lines.append(f"does not fit on {quote.machine}:")
        if limits.max_duration is not None and (quote.attempts or 0) > 1:
            needed = format_seconds(quote.seconds or 0)
            lines.append(f"  {needed} in limits.max_duration={limits.max_duration}: {quote.attempts:,} attempts of it")
        paid = affordable_s(limits, quote.price_per_hour)
        if paid is not None and (quote.seconds or 0) > paid:
            lines.append(f"  ${_dollars(quote.dollars)} in limits.max_cost={limits.max_cost:g}")
        ways = [f"{format_count(quote.fitting_tokens)} tokens of {config}"] if quote.fitting_tokens else []
        if quote.fitting_config is not None:
            ways.append(f"all {format_count(tokens)} tokens of {quote.fitting_config} at the same MFU")
        lines.append(f"  what fits: {', or '.join(ways) or 'not one step, nor a smaller preset'}")
    return lines


def _sources(quotes: Sequence[Quote]) -> list[str]:
    lines = [
        "time is that of training alone; start, packing, evaluation and checkpoints come on top",
        f"prices of {prices.AS_OF} ({prices.SOURCE}) or the job's; today's: `ten sizes`",
    ]
    reckoned = [quote for quote in quotes if quote.mfu is not None and quote.gpu is not None]
    if any(quote.mfu.source == "assumed" for quote in reckoned if quote.mfu):
        lines.append("MFU is assumed, not measured: state yours with --mfu, or train some steps and plan again")
    if any(quote.mfu is None and quote.gpu is not None for quote in quotes):
        lines.append("MFU of fp32 and of small models is not assumed: state it with --mfu, or train some steps")
    measured = {quote.gpu: quote.mfu for quote in reckoned if quote.mfu and quote.mfu.source == "measured"}
    lines += [f"MFU of {gpu} is measured, by run {mfu.run}" for gpu, mfu in measured.items()]
    if any(quote.gpus > 1 for quote in quotes):
        lines.append("several GPUs are counted as if all were at work at that MFU")
    return lines
