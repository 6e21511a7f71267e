"""Curves: which measurements a page shows, and each run's numbers for them on one of three horizontal axes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ten.report import axis
from ten.report.chart import Chart, Mark, Series, draw
from ten.report.events import Event
from ten.report.history import Extent
from ten.report.html import Markup
from ten.report.money import dollars_at
from ten.report.source import RunSource

Against = Literal["tokens", "seconds", "dollars"]
_FORMS: dict[Against, axis.Form] = {"tokens": axis.count, "seconds": axis.duration, "dollars": axis.dollars}
_NAMES: dict[Against, str] = {"tokens": "tokens", "seconds": "in training", "dollars": "spent"}


@dataclass(frozen=True, slots=True)
class Curve:
    """A measurement as a chart."""

    key: str
    chart: Chart
    about: str


def _curve(key: str, title: str, about: str, form: axis.Form = axis.plain, **looks: bool | float) -> Curve:
    chart = Chart(title=title, x_name="", x_form=axis.plain, y_form=form, **looks)  # type: ignore[arg-type]
    return Curve(key, chart, about)


CURVES = (
    _curve("loss", "training loss", "nats per token", crop=0.02, smooth=True),
    _curve("held_out", "held-out", "bits per byte", dots=True),
    _curve("tokens_per_s", "tokens per second", "all ranks, waits included", axis.count, zero=True),
    _curve("mfu", "model FLOPs utilization", "of the peak in bf16", axis.percent, zero=True),
    _curve("data_wait_s", "data wait", "seconds a step", zero=True, crop=0.005),
    _curve("lr", "learning rate", "of matrices, at its scheduled value", zero=True),
    _curve("grad_norm", "gradient norm", "before clipping", log=True, smooth=True),
)


def axes(runs: list[RunSource]) -> list[Against]:
    """The horizontal axes that at least one run has."""
    priced = any(dollars_at(run.record, run.history) is not None for run in runs)
    return ["tokens", "seconds", *(["dollars"] if priced else [])]  # type: ignore[list-item]


def draw_curve(curve: Curve, against: Against, runs: list[RunSource], events: dict[str, list[Event]]) -> Markup | None:
    """One curve of all runs that have it; None where none has."""
    series = [one for run in runs if (one := _series(curve, against, run, events[run.letter])) is not None]
    if not series:
        return None
    chart = replace(curve.chart, x_name=_NAMES[against], x_form=_FORMS[against])
    return draw(chart, series, f"{curve.key}-{against}")


def _series(curve: Curve, against: Against, run: RunSource, events: list[Event]) -> Series | None:
    place = _places(against, run)
    if place is None:
        return None
    history = run.history
    if curve.key == "held_out":
        if not history.held_out:
            return None
        across = place(np.array([float(at.step) for at, _ in history.held_out]))
        values = np.array([value for _, value in history.held_out])
        extent = Extent(values, values, values)
    elif (found := history.series.get(curve.key)) is not None:
        across, extent = place(history.steps), found
    else:
        return None
    marked = [event for event in events if event.mark is not None]
    places = place(np.array([float(event.at.step) for event in marked]))
    marks = [Mark(float(x), event.what, event.mark == "tick") for x, event in zip(places, marked, strict=True)]
    return Series(
        label=run.label, colour=run.colour, x=across, low=extent.low, high=extent.high, mean=extent.mean, marks=marks
    )


def draw_by_context(runs: list[RunSource]) -> Markup | None:
    """Each run's newest held-out loss over how much of its document a prediction could look back on; None of none."""
    measured = [run for run in runs if run.history.by_context]
    if not measured:
        return None
    series = []
    for run in measured:
        buckets = run.history.by_context
        bits = np.array([bucket.bits_per_token for bucket in buckets])
        middle = np.array([(bucket.begin + bucket.end) / 2 for bucket in buckets])
        series.append(Series(label=run.label, colour=run.colour, x=middle, low=bits, high=bits, mean=bits))
    least = min(float(one.x[0]) for one in series)
    chart = Chart(
        title="held-out by context",
        x_name="tokens of context",
        x_form=axis.count,
        x_low=least,
        x_log=True,
        dots=True,
        x_title="tokens of context",
    )
    return draw(chart, series, "by-context")


def _places(against: Against, run: RunSource) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
    """Steps → their places on the axis; None where the run has none."""
    history = run.history
    known = {"tokens": history.tokens, "seconds": history.seconds}.get(against)
    known = dollars_at(run.record, history) if known is None else known
    if known is None:
        return None
    steps, values = np.concatenate([[0.0], history.steps]), np.concatenate([[0.0], known])
    return lambda at: np.interp(at, steps, values)
