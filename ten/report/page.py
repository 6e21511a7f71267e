"""Page: runs as one HTML file that needs nothing else: no network, no script to be read, light and dark."""

import base64
import hashlib
from datetime import datetime
from importlib.resources import files

from ten.report.curves import CURVES, Against, axes, draw_by_context, draw_curve
from ten.report.events import Event, find_events
from ten.report.html import Child, Markup, join, tag
from ten.report.memory import by_depth, by_layer
from ten.report.receipt import (
    attempts,
    comparison,
    event_table,
    machines,
    money,
    named,
    numbers,
    rate,
    settings,
    totals,
    unpriced_attempts,
)
from ten.report.source import RunSource, Sample
from ten.units import format_count, format_seconds

_MARKS = {
    "line": "dotted lines: restarts",
    "tick": "strokes at the top: spikes, whose steps were skipped, and rollbacks",
}
_EARLIER = 8
"""Earlier samples shown of a run."""


def render(runs: list[RunSource], written: datetime) -> str:
    """The page of one run, or of several compared."""
    events = {run.letter: find_events(run.record, run.history) for run in runs}
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    body = join(
        _header(runs, title),
        tag(
            "main",
            _overview(runs),
            _curves(runs, events),
            _memory(runs),
            _section("events", "Events", [(run, event_table(run, events[run.letter])) for run in runs]),
            _section("samples", "Samples", [(run, _samples(run.samples)) for run in runs if run.samples]),
            _section("receipt", "Receipt", [(run, join(attempts(run), machines(run))) for run in runs]),
            tag("section", tag("h2", "Configuration"), settings(runs), id="configuration"),
        ),
        tag("footer", f"Written {written:%Y-%m-%d %H:%M} UTC by ten report."),
    )  # fmt: skip
    return _document(title, body)


def _document(title: str, body: Markup) -> str:
    style, script = (
        Markup((files("ten.report") / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", f"{title} · ten"),
        tag("style", style),
    )
    page = tag("html", head, tag("body", body, tag("script", script)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _header(runs: list[RunSource], title: str) -> Markup:
    first = runs[0]
    about = [
        text
        for text in (
            first.setting("data", "dataset"), first.setting("model", "config"),
            first.record.attempts[-1].device if first.record.attempts else None,
        )
        if text
    ]  # fmt: skip
    line = " · ".join(map(str, about)) if len(runs) == 1 else "compared over the same axes"
    return tag("header", tag("h1", title), tag("p", line, class_="about"))


def _overview(runs: list[RunSource]) -> Markup:
    if len(runs) > 1:
        return tag("section", comparison(runs), id="overview")
    run = runs[0]
    history, total, record = run.history, totals(run), run.record
    loss, mfu = history.recent.get("loss"), history.recent.get("mfu")
    share = history.tokens[-1] / record.total_tokens if record.total_tokens else None
    worth = unpriced_attempts(runs) or f"{rate(total.tokens_per_dollar)} tokens per dollar"
    dollars = money(record.cost) if record.unpriced < len(record.attempts) else "–"
    facts: list[tuple[str, str, str | None]] = [
        ("held-out", f"{history.held_out[-1][1]:.3f}" if history.held_out else "–", "bits per byte"),
        ("loss", "–" if loss is None else f"{loss:.3f}", "nats per token"),
        ("tokens", format_count(history.tokens[-1]), None if share is None else f"{share:.0%} of the run"),
        ("tokens/s", rate(history.recent.get("tokens_per_s")), None if mfu is None else f"{100 * mfu:.1f}% MFU"),
        ("in training", format_seconds(float(history.seconds[-1])), f"{history.steps[-1]:,.0f} steps"),
        ("dollars", dollars, f"and {worth}" if record.unpriced and record.cost else worth),
    ]  # fmt: skip
    boxes = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", note or "", class_="note"))
        for name, value, note in facts
    ]
    return tag("section", tag("dl", *boxes, class_="facts"), id="overview")


def _curves(runs: list[RunSource], events: dict[str, list[Event]]) -> Markup:
    against = axes(runs)
    figures = []
    for curve in CURVES:
        drawn = [
            tag("div", svg, class_=f"by by-{one}")
            for one in against
            if (svg := draw_curve(curve, one, runs, events)) is not None
        ]
        if drawn:
            figures.append(_figure(curve.chart.title, curve.about, *drawn))
    if (drawn_by_context := draw_by_context(runs)) is not None:
        about = "bits per token, after so many of its document"
        figures.append(_figure("held-out by context", about, drawn_by_context))
    kinds = {event.mark for found in events.values() for event in found}
    marks = [text for kind, text in _MARKS.items() if kind in kinds]
    legend = tag("p", *(named(run) for run in runs), class_="legend") if len(runs) > 1 else None
    return tag(
        "section",
        tag("h2", "Training"),
        *_switch(against),
        legend,
        tag("div", *figures, class_="charts"),
        tag("p", "; ".join(marks).capitalize() + ".", class_="note") if marks else None,
        numbers(runs),
        id="training",
    )


def _figure(title: str, about: str, *drawn: Markup) -> Markup:
    return tag("figure", tag("figcaption", tag("b", title), " ", tag("span", about)), *drawn)


def _switch(against: list[Against]) -> list[Child]:
    choices: list[Child] = []
    for one in against:
        checked = "" if one == "tokens" else None
        choices.append(tag("input", type="radio", name_="against", id=f"against-{one}", checked=checked))
        choices.append(tag("label", one, for_=f"against-{one}"))
    return [tag("fieldset", tag("legend", "against"), *choices, class_="switch")]


def _memory(runs: list[RunSource]) -> Markup | None:
    known = [run for run in runs if run.layers]
    if not known:
        return None
    parts: list[Child] = []
    for run in known:
        drawn = by_layer(run)
        of = f"{len(drawn)} of {len(run.layers)} layers" if len(drawn) < len(run.layers) else f"{len(drawn)} layers"
        caption = (
            f"step {run.layers_step:,}, {of}: ω across (radians a token), half-life in tokens up, |λ| on the right"
        )
        heading = tag("h3", named(run)) if len(runs) > 1 else None
        parts.append(tag("div", heading, tag("p", caption, class_="note"), tag("div", *drawn, class_="layers")))
    depth = _figure("half-life by layer", "tokens; median, and the middle 80 %", by_depth(known))
    about = tag(
        "p",
        "A state of eigenvalue λ = |λ|e",
        tag("sup", "iω"),
        " halves every ln 2 / −ln |λ| tokens and turns by ω in each. Selective layers move |λ| with every token; shown "
        "is what they do at their bias.",
        class_="prose",
    )
    return tag("section", tag("h2", "Eigenvalues"), tag("div", depth, about, class_="depth"), *parts, id="eigenvalues")


def _section(name: str, title: str, parts: list[tuple[RunSource, Markup]]) -> Markup | None:
    """A part for each run, with its name where there are several."""
    if not parts:
        return None
    several = len(parts) > 1 or parts[0][0].number > 0
    shown = [tag("div", tag("h3", named(run)) if several else None, part) for run, part in parts]
    return tag("section", tag("h2", title), *shown, id=name)


def _samples(samples: list[Sample]) -> Markup:
    newest = samples[-1].step
    steps = sorted({sample.step for sample in samples if sample.step != newest})
    chosen = set(steps[:: -(-len(steps) // _EARLIER)] if steps else [])
    earlier = [_sample(sample) for sample in samples if sample.step in chosen]
    folded = tag("details", tag("summary", "earlier"), *earlier) if earlier else None
    return join(*(_sample(sample) for sample in samples if sample.step == newest), folded)


def _sample(sample: Sample) -> Markup:
    where = f"step {sample.step:,} · {format_count(sample.tokens)} tokens"
    words = tag("blockquote", tag("b", sample.prompt), sample.text)
    return tag("figure", tag("figcaption", where, class_="note"), words, class_="sample")
