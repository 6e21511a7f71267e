"""Panel: three lines at the foot of the terminal that tell of a run while it trains, drawn a few times a second."""

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from ten.train.metrics import StepMetrics
from ten.train.spent import Bill, TimeSpent
from ten.units import format_count, format_seconds

DRAW_S = 0.2
"""Seconds between two drawings at least: what a step costs the panel otherwise is an entry in a list."""
_BARS = "▁▂▃▄▅▆▇█"
_HISTORY = 240
_SPARKS = 24
_LEAST_SHARE = 0.005
_CLEAR_BELOW = "\r\x1b[J"


class Panel:
    """Progress; losses and rates; money, limits and where the time goes.

    Lines are bars of tqdm, which knows how to keep them under the messages of `ten.logs` and other bars. They are as
    wide as the terminal is now; what does not fit is left out from the end.
    """

    def __init__(
        self, total_tokens: int, tokens: int, bill: Bill, spent: TimeSpent, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bill, self._spent, self._clock = bill, spent, clock
        self._losses: deque[float] = deque(maxlen=_HISTORY)
        self._latest: StepMetrics | None = None
        self._held_out: float | None = None
        self._seconds_left: float | None = None
        self._drawn = float("-inf")
        self._columns = _columns()
        self._sparks = can_write(_BARS, sys.stderr.encoding)
        self._bar: tqdm[Any] = tqdm(
            total=total_tokens, initial=tokens, unit_scale=True, dynamic_ncols=True, file=sys.stderr, leave=True,
            bar_format=_form(None), ascii=None if self._sparks else True,
        )  # fmt: skip
        self._lines: list[tqdm[Any]] = [
            tqdm(bar_format="{desc}", file=sys.stderr, leave=True, dynamic_ncols=True) for _ in range(2)
        ]

    def show(self, metrics: StepMetrics, seconds_left: float | None) -> None:
        """Take in a step, and draw when it is time."""
        self._latest, self._seconds_left = metrics, seconds_left
        self._losses.append(metrics.loss)
        if metrics.held_out_bits_per_byte is not None:
            self._held_out = metrics.held_out_bits_per_byte
        now = self._clock()
        if now - self._drawn >= DRAW_S:
            self._drawn = now
            self._draw(now)

    def close(self) -> None:
        """Draw the last state and leave it there."""
        self._draw(self._clock())
        for line in (self._bar, *self._lines):
            line.close()

    def _draw(self, now: float) -> None:
        if self._latest is None:
            return
        columns = _columns()
        if columns != self._columns:
            self._begin_anew(columns)
        self._bar.desc = f"step {self._latest.step}"
        self._bar.bar_format = _form(self._seconds_left)
        self._bar.n = min(self._latest.tokens, self._bar.total or 0)
        for line, words in zip(self._lines, (self._rates(self._latest), self._money(now)), strict=True):
            line.desc = fit(words, columns - 1)
        for line in (self._bar, *self._lines):
            line.refresh()

    def _begin_anew(self, columns: int) -> None:
        """Clear what was drawn at another width: lines padded to that one would wrap."""
        self._columns = columns
        with tqdm.get_lock():  # type: ignore[no-untyped-call]
            sys.stderr.write(_CLEAR_BELOW)
            for line in (self._bar, *self._lines):
                line.sp = line.status_printer(line.fp)

    def _rates(self, metrics: StepMetrics) -> list[str]:
        mfu = metrics.mfu
        sparks = f" {sparkline(self._losses)}" if self._sparks and len(self._losses) > 1 else ""
        return [
            f"loss {metrics.loss:.3f}{sparks}",
            f"{format_count(metrics.tokens_per_s)} tok/s",
            *([] if self._held_out is None else [f"held-out {self._held_out:.3f} bits/byte"]),
            *([] if mfu is None else [f"MFU {100 * mfu:.1f}%"]),
        ]

    def _money(self, now: float) -> list[str]:
        shares = {what: share for what, share in self._spent.shares().items() if share >= _LEAST_SHARE}
        rest = max(0.0, 1.0 - sum(shares.values()))
        return [
            *self._bill.words(now),
            f"training {rest:.0%}",
            *(f"{what} {share:.0%}" for what, share in shares.items()),
        ]


def fit(words: Sequence[str], columns: int) -> str:
    """As many of the first words as there is room for; the first one is cut where it alone is too long."""
    text = words[0][: max(columns, 0)] if words else ""
    for word in words[1:]:
        longer = f"{text} · {word}"
        if len(longer) > columns:
            break
        text = longer
    return text


def sparkline(values: Sequence[float], width: int = _SPARKS) -> str:
    """Means of equal parts of the values as bars of eight heights, `width` or fewer; × where a part is not finite."""
    each = max(1, -(-len(values) // width))
    listed = list(values)
    means = [sum(part) / len(part) for at in range(0, len(listed), each) if (part := listed[at : at + each])]
    finite = [mean for mean in means if abs(mean) < float("inf")]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((mean - low) * scale)] if abs(mean) < float("inf") else "×" for mean in means)


def can_write(text: str, encoding: str | None) -> bool:
    """Whether a terminal's encoding has all characters of a text."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _columns() -> int:
    """Of the terminal behind stderr, as it is now; tqdm's own bar asks the same."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):  # stderr is something that only says it is a terminal
        return shutil.get_terminal_size().columns


def _form(seconds_left: float | None) -> str:
    left = "" if seconds_left is None else f", {format_seconds(seconds_left)} left"
    return f"{{desc}} {{percentage:3.0f}}%|{{bar}}| {{n_fmt}}/{{total_fmt}} tokens [{{elapsed}}{left}]"
