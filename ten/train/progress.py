"""What a person sees while a run trains: a panel on a terminal, a line in the log now and then elsewhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ten import logs
from ten.train.metrics import StepMetrics
from ten.train.panel import Panel
from ten.train.spent import Bill, TimeSpent
from ten.units import format_count, format_seconds

log = logging.getLogger(__name__)

_LINE_SECONDS = 30.0


class Progress:
    """Shows a run of `total_tokens`; `panel` is None where no terminal shows it, and `lines` come instead."""

    def __init__(self, total_tokens: int, panel: Panel | None, *, lines: bool = False) -> None:
        self._total = total_tokens
        self._lines = lines
        self._panel = panel
        self._held_out: float | None = None
        self._next_line = 0.0

    def show(self, metrics: StepMetrics, seconds_left: float | None) -> None:
        """Show one step: rate, loss, held-out bits per byte, time left."""
        if self._panel is not None:
            self._panel.show(metrics, seconds_left)
            return
        evaluated = metrics.held_out_bits_per_byte is not None
        if evaluated:
            self._held_out = metrics.held_out_bits_per_byte
        if self._lines and (evaluated or metrics.seconds >= self._next_line or metrics.tokens >= self._total):
            self._next_line = metrics.seconds + _LINE_SECONDS
            left = "" if seconds_left is None else f", {format_seconds(seconds_left)} left"
            log.info(
                "step %d, %s of %s tokens, %s, %s tokens/s%s", metrics.step, format_count(metrics.tokens),
                format_count(self._total), self._words(metrics), format_count(metrics.tokens_per_s), left,
            )  # fmt: skip

    def _words(self, metrics: StepMetrics) -> str:
        held_out = "" if self._held_out is None else f", held-out {self._held_out:.3f} bits/byte"
        mfu = "" if metrics.mfu is None else f", MFU {metrics.mfu:.1%}"
        return f"loss {metrics.loss:.3f}{held_out}{mfu}"


@contextmanager
def open_progress(
    total_tokens: int, tokens: int, *, shown: bool, bill: Bill | None = None, spent: TimeSpent | None = None
) -> Iterator[Progress]:
    """The progress of a run that stands at `tokens`; `shown` is False on ranks other than 0."""
    if not (shown and logs.has_terminal()):
        yield Progress(total_tokens, None, lines=shown)
        return
    panel = Panel(total_tokens, tokens, bill or Bill(), spent or TimeSpent())
    try:
        yield Progress(total_tokens, panel)
    finally:
        panel.close()
