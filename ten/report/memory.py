"""Memory: pictures of eigenvalues: how long each layer's states last, and how fast they turn."""

import math

import numpy as np

from ten.report.axis import Axis, around, count, plain
from ten.report.chart import Chart, Series, draw
from ten.report.html import Markup, join, tag
from ten.report.source import RunSource
from ten.report.spectrum import Layer

_WIDTH, _HEIGHT = 230, 168
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 46, 22, 26
_LAYERS = 12
"""Most layers drawn each for itself; of more, evenly spaced ones."""
_STATES = 240
"""Most states drawn of a layer; of more, evenly spaced ones."""


def by_depth(runs: list[RunSource]) -> Markup:
    """Half-lives of all layers over depth: median, and the middle 80 %."""
    series = [
        Series(
            label=run.label,
            colour=run.colour,
            x=np.array([float(layer.number + 1) for layer in run.layers]),
            low=np.array([np.quantile(layer.half_life, 0.1) for layer in run.layers]),
            high=np.array([np.quantile(layer.half_life, 0.9) for layer in run.layers]),
            mean=np.array([np.median(layer.half_life) for layer in run.layers]),
        )
        for run in runs
    ]
    chart = Chart(
        title="half-life in tokens",
        x_name="layer",
        x_form=plain,
        x_low=0.5,
        x_room=0.5,
        x_title="layer",
        whole=True,
        y_form=count,
        log=True,
        dots=True,
    )
    return draw(chart, series, "depth")


def by_layer(run: RunSource) -> list[Markup]:
    """Each layer's states: ω across, half-life (and with it |λ|) up, on axes that all layers share."""
    lives = np.concatenate([layer.half_life for layer in run.layers])
    up = around(lives, _HEIGHT - _BOTTOM, _TOP, log=True)
    chosen = run.layers[:: math.ceil(len(run.layers) / _LAYERS)]
    return [_draw(layer, up, run) for layer in chosen]


def _draw(layer: Layer, up: Axis, run: RunSource) -> Markup:
    across = Axis(-math.pi, math.pi, _LEFT, _WIDTH - _RIGHT)
    few = slice(None, None, math.ceil(len(layer.phase) / _STATES))
    places = zip(across.place(layer.phase[few]), up.place(layer.half_life[few]), strict=True)
    states = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
    life, size = layer.half_life, np.exp(layer.log_decay)
    told = (
        f"{run.label}, layer {layer.number + 1}: {len(life)} states; half-lives from {digits(life.min())} to "
        f"{digits(life.max())} tokens, median {digits(np.median(life))}; "
        f"|λ| from {size.min():.4g} to {size.max():.4g}."
    )
    return tag(
        "svg",
        tag("title", f"eigenvalues of layer {layer.number + 1}"),
        tag("desc", told),
        tag("text", f"layer {layer.number + 1}", class_="head", x=_LEFT, y=12),
        tag("text", f"median {digits(np.median(life))}", class_="note", x=_WIDTH - _RIGHT, y=12),
        _frame(up, across),
        tag("path", class_=f"dots c{run.colour}", d=states),
        class_="layer", role="img", viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )  # fmt: skip


def _frame(up: Axis, across: Axis) -> Markup:
    lines = []
    for tick in up.ticks(4):
        y = up.at(tick)
        lines.append(tag("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}"))
        lines.append(tag("text", count(tick), class_="y", x=_LEFT - 6, y=f"{y + 4:.1f}"))
        lines.append(tag("text", magnitude(tick), class_="y right", x=_WIDTH - _RIGHT + 6, y=f"{y + 4:.1f}"))
    for value, name in ((-math.pi, "−π"), (0.0, "0"), (math.pi, "π")):
        x = f"{across.at(value):.1f}"
        lines.append(tag("line", class_="tick", x1=x, x2=x, y1=_HEIGHT - _BOTTOM, y2=_HEIGHT - _BOTTOM + 4))
        lines.append(tag("text", name, class_="x", x=x, y=_HEIGHT - _BOTTOM + 17))
    base = tag("line", class_="base", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_HEIGHT - _BOTTOM, y2=_HEIGHT - _BOTTOM)
    return join(tag("g", *lines, base, aria_hidden="true"))


def digits(value: float) -> str:
    """A number of tokens in three digits."""
    return f"{value:.3g}" if value < 1000 else count(value)


def magnitude(half_life: float) -> str:
    """|λ| of a half-life in tokens, with the digits that tell it from 1."""
    gap = -math.expm1(-math.log(2) / half_life)
    digits = max(2, 1 - math.floor(math.log10(gap)))
    return f"{1 - gap:.{digits}f}".lstrip("0")
