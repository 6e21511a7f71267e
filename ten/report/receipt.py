"""Receipt: the tables of a page: what each run came to, its attempts, its events, its settings, its numbers."""

import msgspec
import numpy as np

from ten.job import flatten
from ten.report.events import Event, ended
from ten.report.html import Child, Markup, join, table, tag
from ten.report.source import RunSource
from ten.spelling import as_yaml
from ten.train.run_record import Attempt, Total
from ten.units import counted, format_bytes, format_count, format_seconds

_NONE = "–"
_ROWS = 12
"""Rows of a table of numbers."""
_EVENTS = 40
_CLOCKS = (
    "By the clock: an attempt from its start to its end, which is what is paid for: preparation, the last "
    "checkpoint and what a kill threw away are in it. In training: from the first batch to the last step."
)


def totals(run: RunSource) -> Total:
    """What the run came to, as its record says; tokens from its metrics where that does not."""
    record = run.record
    tokens = int(run.history.tokens[-1])
    if record.total is not None and record.total.tokens is not None:
        return record.total
    priced = bool(record.attempts) and all(one.price_per_hour is not None for one in record.attempts)
    dollars = record.cost if priced else None
    return Total(
        seconds=sum(one.seconds for one in record.attempts), tokens=tokens, dollars=dollars,
        tokens_per_dollar=tokens / dollars if dollars else None,
        reason=record.attempts[-1].reason if record.attempts else None,
    )  # fmt: skip


def spent(run: RunSource) -> str:
    """Dollars of all attempts; with a question mark where the price of some is not known."""
    record = run.record
    if not record.unpriced:
        return money(totals(run).dollars)
    return "?" if record.unpriced == len(record.attempts) else f"{money(record.cost)} + ?"


def unpriced_attempts(runs: list[RunSource]) -> str | None:
    """How many attempts have no price, and how to give them one; None where all have."""
    count = sum(run.record.unpriced for run in runs)
    if not count:
        return None
    return f"{counted(count, 'attempt')} without a price: resources.price_per_hour states it"


def money(value: float | None) -> str:
    """Dollars in cents."""
    return _NONE if value is None else f"${value:,.2f}" if value >= 1 else f"${value:.3g}"


def rate(value: float | None) -> str:
    """A count, or a dash."""
    return _NONE if value is None else format_count(value)


def comparison(runs: list[RunSource]) -> Markup:
    """A row a run."""
    rows: list[list[Child]] = []
    for run in runs:
        total, history = totals(run), run.history
        loss, held_out = history.recent.get("loss"), history.held_out[-1][1] if history.held_out else None
        rows.append([
            named(run), f"{history.steps[-1]:,.0f}", format_count(history.tokens[-1]),
            _NONE if loss is None else f"{loss:.3f}", _NONE if held_out is None else f"{held_out:.3f}",
            rate(history.recent.get("tokens_per_s")), format_seconds(float(history.seconds[-1])), spent(run),
            rate(total.tokens_per_dollar), _state(run),
        ])  # fmt: skip
    heads = ["run", "steps", "tokens", "loss, nats/token", "held-out, bits/byte", "tokens/s", "in training", "dollars",
             "tokens per dollar", "state"]  # fmt: skip
    return join(table(heads, rows, class_="stacked"), _question(runs))


def named(run: RunSource) -> Markup:
    """A run's letter in its colour, and its id."""
    return tag("span", tag("b", run.letter, class_=f"key c{run.colour}"), " ", run.name, class_="named")


def attempts(run: RunSource) -> Markup:
    """A row an attempt, and one for all."""
    last = len(run.record.attempts)
    rows: list[list[Child]] = [
        _attempt(number, one, number == last, run.name) for number, one in enumerate(run.record.attempts, 1)
    ]
    total = totals(run)
    rows.append([
        tag("b", "total"), "", "", rate(total.tokens), format_seconds(total.seconds), "", spent(run),
        rate(total.tokens_per_dollar), _state(run),
    ])  # fmt: skip
    heads = [
        "attempt",
        "began (UTC)",
        "steps",
        "tokens",
        "by the clock",
        "an hour",
        "dollars",
        "tokens per dollar",
        "ended",
    ]
    return join(table(heads, rows, class_="receipt stacked"), _question([run]), tag("p", _CLOCKS, class_="note"))


def machines(run: RunSource) -> Markup:
    """Where and from what each attempt ran; attempts that are alike share a column."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for number, one in enumerate(run.record.attempts, 1):
        alike.setdefault(tuple(_machine(one).values()), []).append(str(number))
    names = [name for one in run.record.attempts[:1] for name in _machine(one)]
    heads = ["attempt", *(", ".join(numbers) for numbers in alike.values())]
    rows: list[list[Child]] = [[name, *values] for name, *values in zip(names, *alike, strict=True)]
    return table(heads, rows, class_="settings")


def _question(runs: list[RunSource]) -> Markup | None:
    unpriced = unpriced_attempts(runs)
    return None if unpriced is None else tag("p", f"?: {unpriced}.", class_="note")


def _machine(one: Attempt) -> dict[str, str]:
    machine = one.machine
    cores = f"{counted(machine.cores, 'core')} of " if machine.cores else ""
    return {
        "device": one.device if one.world_size == 1 else f"{one.world_size} × {one.device}",
        "driver": machine.driver or _NONE,
        "processor": f"{cores}{machine.cpu}" if machine.cpu else _NONE,
        "memory": _NONE if machine.memory_bytes is None else format_bytes(machine.memory_bytes),
        "mode": one.mode,
        "image": machine.image or _NONE,
        "revision": machine.revision or _NONE,
        "job, sha256": one.job_sha256 or _NONE,
    }


def event_table(run: RunSource, events: list[Event]) -> Markup:
    """Events in their order; of very many the first."""
    rows: list[list[Child]] = [
        [f"{event.at.step:,}", format_count(event.at.tokens), format_seconds(event.at.seconds), event.what]
        for event in events[:_EVENTS]
    ]
    more = tag("p", f"and {len(events) - _EVENTS} more", class_="note") if len(events) > _EVENTS else None
    return tag("div", table(["step", "tokens", "in training", "what"], rows, class_="events"), more)


def settings(runs: list[RunSource]) -> Markup:
    """Every setting; those in which the runs differ first and marked."""
    flat = [flatten(run.record.spec) for run in runs]
    names = list(dict.fromkeys(name for one in flat for name in one))
    differ = [name for name in names if len({_text(one.get(name)) for one in flat}) > 1]
    heads = ["setting", *(run.letter if len(runs) > 1 else "value" for run in runs)]

    def rows(chosen: list[str]) -> list[list[Child]]:
        return [[tag("code", name), *(_text(one.get(name)) for one in flat)] for name in chosen]

    everything = tag(
        "details", tag("summary", f"all {len(names)} settings"), table(heads, rows(names), class_="settings")
    )
    if not differ:
        return everything
    return tag("div", table(heads, rows(differ), class_="settings"), everything)


def numbers(runs: list[RunSource]) -> Markup:
    """The curves as numbers, some rows a run: for who does not see them, or wants to copy them."""
    rows: list[list[Child]] = []
    for run in runs:
        history = run.history
        places = np.unique(np.linspace(0, len(history.steps) - 1, min(_ROWS, len(history.steps))).astype(int))
        for at in places:
            found = {name: extent.mean[at] for name, extent in history.series.items()}
            rows.append([
                run.letter, f"{history.steps[at]:,.0f}", format_count(history.tokens[at]),
                format_seconds(float(history.seconds[at])), *(_number(found.get(name)) for name in _NUMBERS),
            ])  # fmt: skip
    heads = ["run", "step", "tokens", "in training", *_NUMBERS.values()]
    return tag("details", tag("summary", "the curves in numbers"), table(heads, rows))


_NUMBERS = {"loss": "loss", "lr": "learning rate", "grad_norm": "gradient norm", "tokens_per_s": "tokens/s"}


def _number(value: float | None) -> str:
    return _NONE if value is None or not np.isfinite(value) else f"{value:.4g}"


def _attempt(number: int, one: Attempt, is_last: bool, run: str) -> list[Child]:
    to = "" if one.to_step is None else f"{one.to_step:,}"
    price = one.price_per_hour
    per_dollar = one.tokens / one.cost if one.tokens is not None and one.cost else None
    return [
        str(number), f"{one.started:%Y-%m-%d %H:%M:%S}", f"{one.from_step:,}–{to}", rate(one.tokens),
        format_seconds(one.seconds), money(price), _NONE if price is None else money(one.cost), rate(per_dollar),
        ended(one, run) if is_last or one.ended else "killed",
    ]  # fmt: skip


def _state(run: RunSource) -> str:
    return ended(run.record.attempts[-1], run.name) if run.record.attempts else "not begun"


def _text(value: object) -> str:
    """A setting as a job file has it."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (list, dict)):
        return as_yaml(value)
    return msgspec.json.encode(value).decode()
