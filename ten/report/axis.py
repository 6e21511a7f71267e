"""Axis: a range of numbers along a length of pixels, with ticks at 1, 2 and 5 times powers of ten."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ten.units import format_count

_LEAST_SPAN = 1e-12


@dataclass(frozen=True, slots=True)
class Axis:
    """Numbers from `low` to `high`, drawn from pixel `begin` to pixel `end`; `log` scales by ratios."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The pixel of each value; those outside of the range lie outside."""
        low, high = self._scaled(np.array([self.low, self.high]))
        placed: NDArray[np.float64] = self.begin + (self._scaled(values) - low) / (high - low) * (self.end - self.begin)
        return placed

    def at(self, value: float) -> float:
        """The pixel of one value."""
        return float(self.place(np.array([value]))[0])

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers within the range, `most` or fewer, two at least where the range has them."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log10(np.maximum(values, 1e-300)) if self.log else values


def around(values: NDArray[np.float64], begin: float, end: float, *, log: bool = False, zero: bool = False,
           crop: float = 0.0, margin: float = 0.06) -> Axis:  # fmt: skip
    """An axis on which the finite values lie, with a margin of that part of their range; `crop` leaves out that part of
    the greatest.

    `zero` begins it at 0. A log axis takes positive values alone. Values that are all equal, or none, get a range.
    """
    known = values[np.isfinite(values) & (values > 0 if log else True)]
    if not len(known):
        known = np.array([1.0])
    low, high = float(known.min()), float(np.quantile(known, 1.0 - crop))
    if log:
        ratio = max(high / low, 1.2) ** 0.05
        return Axis(low / ratio, high * ratio, begin, end, log=True)
    low = min(low, 0.0) if zero else low
    if high - low < max(abs(high), 1.0) * _LEAST_SPAN:
        low, high = low - abs(low) * 0.1 - 0.1 * (not low), high + abs(high) * 0.1 + 0.1 * (not high)
    room = margin * (high - low)
    return Axis(low if zero and low == 0.0 else low - room, high + room, begin, end)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    step = _nice((high - low) / most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _nice(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is no less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [f * 10.0**power for power in range(first, last + 1) for f in factors if low <= f * 10.0**power <= high]
        if len(found) <= most:
            return found if len(found) > 1 else _linear_ticks(low, high, most)
    return found[:: math.ceil(len(found) / most)]


Form = Callable[[float], str]


def count(value: float) -> str:
    """0, 50K, 1.5M: as few digits as say it."""
    if abs(value) < 1000:
        return plain(value)
    text = format_count(value)
    return text[:-1].rstrip("0").rstrip(".") + text[-1] if "." in text else text


def plain(value: float) -> str:
    """A number with as few digits as say it; tiny ones as powers of ten."""
    if value and abs(value) < 1e-3:
        return f"{value:.3g}".replace("e-0", "e-")
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:.0f}"


def alike(form: Form, ticks: list[float]) -> list[str]:
    """The ticks as texts: plain numbers with as many decimals each, unless they are of very different size."""
    texts = [form(tick) for tick in ticks]
    if (
        form is not plain
        or any("e" in text for text in texts)
        or min(map(abs, ticks), default=0.0) * 99 < 1 < max(ticks)
    ):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [f"{tick:.{decimals}f}" if tick else "0" for tick in ticks]


def percent(value: float) -> str:
    """0.25 as 25%."""
    return f"{100 * value:.3g}%"


def dollars(value: float) -> str:
    """Dollars, in cents where there are any."""
    return f"${value:,.0f}" if value == round(value) else f"${value:,.2f}" if value >= 0.1 else f"${value:.3g}"


def duration(value: float) -> str:
    """Seconds in the unit that fits: 30s, 5m, 2h, 3d, each with at most one decimal."""
    unit, size = next((u, s) for u, s in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if value >= 2 * s or s == 1)
    return f"{value / size:.3g}{unit}"
