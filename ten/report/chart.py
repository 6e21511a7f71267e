"""Chart: lines over one horizontal axis, as an SVG that is readable without a script, in any colour scheme."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ten.report.axis import Axis, Form, alike, around, plain
from ten.report.html import Markup, join, tag

WIDTH, HEIGHT = 460, 236
LEFT, RIGHT, TOP, BOTTOM = 50, 22, 12, 30
_COLUMNS = 360
_FEWEST_COLUMNS = 90
_SMOOTHED = 48
"""Windows that a smoothed line has at most."""
_LABEL_HEIGHT = 12.0
_CLOSE, _ROOMY = 0.06, 0.2
"""Parts of its range that a vertical axis has beyond its values; few dots are better seen away from the edge."""
_SHORT = 9
"""Length of a short mark."""
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where on the horizontal axis something happened, and what; a short one may be one of many."""

    x: float
    what: str
    is_short: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One run's line: least, greatest and mean at each x; `colour` counts from 0; NaN breaks the line."""

    label: str
    colour: int
    x: _Floats
    low: _Floats
    high: _Floats
    mean: _Floats
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn, apart from the lines."""

    title: str
    x_name: str
    x_form: Form
    x_low: float = 0.0
    x_log: bool = False
    x_room: float = 0.0
    """Of the horizontal axis beyond the last value."""
    x_title: str = ""
    """Written below the axis, where nothing beside the chart says what it is."""
    whole: bool = False
    """The horizontal axis counts: it has ticks at whole numbers alone."""
    y_form: Form = plain
    log: bool = False
    zero: bool = False
    """The vertical axis begins at 0."""
    crop: float = 0.0
    """Part of the greatest values that may lie above the chart, as a loss's first ones do."""
    smooth: bool = False
    dots: bool = False
    """Mark every value: there are few."""


def draw(chart: Chart, series: Sequence[Series], name: str) -> Markup:
    """The SVG of a chart whose id is `name`; with its lines told in words for who does not see them."""
    thinned = [thin(one, max(_FEWEST_COLUMNS, _COLUMNS // len(series))) for one in series]
    furthest = max((float(one.x[-1]) for one in thinned if len(one.x)), default=1.0)
    x = Axis(chart.x_low, max(furthest, chart.x_low + 1e-9) + chart.x_room, LEFT, WIDTH - RIGHT, log=chart.x_log)
    values = np.concatenate([np.concatenate([one.low, one.high]) for one in thinned])
    y = around(values, HEIGHT - BOTTOM, TOP, log=chart.log, zero=chart.zero, crop=chart.crop,
               margin=_ROOMY if chart.dots else _CLOSE)  # fmt: skip
    drawn = [_smoothed(one) if chart.smooth else one for one in thinned]
    several = len(series) > 1
    clip = tag("clipPath", tag("rect", x=LEFT, y=TOP, width=WIDTH - LEFT - RIGHT + 4, height=HEIGHT - TOP - BOTTOM),
               id=f"{name}-clip")  # fmt: skip
    return tag(
        "svg",
        tag("title", chart.title),
        tag("desc", " ".join(tell(chart, one) for one in series)),
        clip,
        _grid(chart, x, y),
        _cut(chart, values, y),
        tag("g", *(_marks(one, x) for one in series), *(_band(one, x, y) for one in thinned),
            *(_line(chart, one, x, y) for one in drawn), clip_path=f"url(#{name}-clip)",
            class_="several" if several else None),
        _ends(drawn, x, y) if several else None,
        class_="chart", role="img", viewBox=f"0 0 {WIDTH} {HEIGHT}", id=name,
        data_x=f"{x.low},{x.high},{x.begin},{x.end},{chart.x_name},{int(x.log)}",
        data_y=f"{y.low},{y.high},{y.begin},{y.end},{int(y.log)}",
    )  # fmt: skip


def thin(series: Series, columns: int) -> Series:
    """At most one value for each of so many columns of pixels: least, greatest, and the mean of the means."""
    if len(series.x) <= columns:
        return series
    column = np.minimum(series.x / (series.x[-1] or 1.0) * columns, columns - 1).astype(np.int64)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    known = np.isfinite(series.mean)
    total = np.add.reduceat(np.where(known, series.mean, 0.0), starts)
    number = np.add.reduceat(known.astype(np.float64), starts)
    return Series(
        label=series.label, colour=series.colour, marks=series.marks,
        x=np.maximum.reduceat(series.x, starts),
        low=np.fmin.reduceat(series.low, starts),
        high=np.fmax.reduceat(series.high, starts),
        mean=np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0),
    )  # fmt: skip


def tell(chart: Chart, series: Series) -> str:
    """A line in words: where it begins, ends, and its extremes."""
    known = np.flatnonzero(np.isfinite(series.mean))
    if not len(known):
        return f"{series.label}: {chart.title} was not measured."
    first, last = known[0], known[-1]
    form = chart.y_form
    return (
        f"{series.label}: {chart.title} from {form(series.mean[first])} at {chart.x_form(series.x[first])} "
        f"to {form(series.mean[last])} at {chart.x_form(series.x[last])} {chart.x_name}; "
        f"least {form(float(np.nanmin(series.low)))}, greatest {form(float(np.nanmax(series.high)))}."
    )


def _smoothed(series: Series) -> Series:
    """With the mean over a window of neighbours in place of each mean, short at both ends."""
    window = 2 * (len(series.mean) // (2 * _SMOOTHED)) + 1
    known = np.isfinite(series.mean)
    box = np.ones(window)
    total = np.convolve(np.where(known, series.mean, 0.0), box, "same")
    number = np.convolve(known.astype(np.float64), box, "same")
    mean = np.where(known, total / np.maximum(number, 1.0), np.nan)
    return Series(label=series.label, colour=series.colour, x=series.x, low=series.low, high=series.high, mean=mean)


def _grid(chart: Chart, x: Axis, y: Axis) -> Markup:
    lines = [
        join(
            tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y.at(tick):.1f}", y2=f"{y.at(tick):.1f}"),
            tag("text", text, class_="y", x=LEFT - 7, y=f"{y.at(tick) + 4:.1f}"),
        )
        for tick, text in zip(
            y.ticks(), list(map(chart.y_form, y.ticks())) if y.log else alike(chart.y_form, y.ticks()), strict=True
        )
    ]
    for tick in x.ticks(6):
        if chart.whole and tick != round(tick):
            continue
        at = f"{x.at(tick):.1f}"
        lines.append(tag("line", class_="tick", x1=at, x2=at, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM + 4))
        lines.append(tag("text", chart.x_form(tick), class_="x", x=at, y=HEIGHT - BOTTOM + 17))
    if chart.x_title:
        lines.append(tag("text", chart.x_title, class_="x title", x=WIDTH - RIGHT, y=HEIGHT + 1))
    base = tag("line", class_="base", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM)
    return tag("g", *lines, base, aria_hidden="true")


def _cut(chart: Chart, values: _Floats, y: Axis) -> Markup | None:
    """That there are values above the chart, and how far up they go."""
    greatest = float(np.nanmax(values, initial=-np.inf))
    if greatest <= y.high:
        return None
    return tag("text", f"↑ up to {chart.y_form(float(f'{greatest:.3g}'))}", class_="cut", x=LEFT + 4, y=TOP - 2)


def _marks(series: Series, x: Axis) -> Markup:
    lines = []
    for mark in series.marks:
        across, end = f"{x.at(mark.x):.1f}", TOP + _SHORT if mark.is_short else HEIGHT - BOTTOM
        look = f"mark c{series.colour}" + (" short" if mark.is_short else "")
        lines.append(tag("line", tag("title", mark.what), class_=look, x1=across, x2=across, y1=TOP, y2=end))
    return join(*lines)


def _band(series: Series, x: Axis, y: Axis) -> Markup | None:
    """From the least to the greatest value of each column."""
    known = np.isfinite(series.low) & np.isfinite(series.high)
    if not known.any() or np.array_equal(series.low[known], series.high[known]):
        return None
    across = x.place(series.x[known])
    upper, lower = y.place(series.high[known]), y.place(series.low[known])
    points = [*zip(across, upper, strict=True), *zip(across[::-1], lower[::-1], strict=True)]
    return tag("path", class_=f"band c{series.colour}", d=f"M{_points(points)}Z")


def _line(chart: Chart, series: Series, x: Axis, y: Axis) -> Markup:
    across, up = x.place(series.x), y.place(series.mean)
    known = np.isfinite(up)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    pieces = [
        "M" + _points(list(zip(across[begin:end], up[begin:end], strict=True)))
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    path = tag("path", class_=f"line c{series.colour}", d="".join(pieces), data_label=series.label)
    if not chart.dots:
        return path
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(across[known], up[known], strict=True))
    return join(path, tag("path", class_=f"dots c{series.colour}", d=dots))


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f} {b:.1f}" for a, b in points)


def _ends(series: Sequence[Series], x: Axis, y: Axis) -> Markup:
    """The letter of each run at the end of its line, moved apart where they would touch."""
    wanted: list[tuple[float, float, Series]] = []
    for one in series:
        known = np.flatnonzero(np.isfinite(one.mean))
        if len(known):
            at = float(np.clip(y.at(float(one.mean[known[-1]])), TOP + 4, HEIGHT - BOTTOM))
            wanted.append((at, x.at(float(one.x[known[-1]])), one))
    wanted.sort(key=lambda end: end[0])
    for number, (above, below) in enumerate(pairwise(wanted), 1):
        if abs(below[1] - above[1]) < 2 * _LABEL_HEIGHT:
            wanted[number] = (max(below[0], wanted[number - 1][0] + _LABEL_HEIGHT), *below[1:])
    return tag(
        "g",
        *(tag("text", one.label[0], class_=f"end c{one.colour}", x=f"{at + 5:.1f}", y=f"{up + 4:.1f}")
          for up, at, one in wanted),
        aria_hidden="true",
    )  # fmt: skip
