"""Spent: where an attempt's time and money go, and what its limits leave."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ten.units import format_seconds


class TimeSpent:
    """Seconds by what they went into; the rest of the time was training."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count the time of the block."""
        begun = self._clock()
        try:
            yield
        finally:
            self.add(what, self._clock() - begun)

    def add(self, what: str, seconds: float) -> None:
        """Count so many seconds."""
        self._seconds[what] = self._seconds.get(what, 0.0) + seconds

    def shares(self) -> dict[str, float]:
        """Part of the time since the beginning, 0 to 1, in the order in which they were first counted."""
        total = self._clock() - self._began
        return {what: min(1.0, seconds / total) for what, seconds in self._seconds.items()} if total > 0 else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a run costs, and which limits of it are near. Prices and costs are dollars; None: not known, no limit."""

    price_per_hour: float | None = None
    spent: float = 0.0
    """By the attempts before."""
    max_cost: float | None = None
    max_seconds: float | None = None
    since: float = field(default_factory=time.monotonic)
    """When the attempt began, by the monotonic clock."""

    def words(self, now: float) -> list[str]:
        """What a person wants to know of it at the moment `now`."""
        return [text for text in (self._dollars(now), self._left(now)) if text]

    def dollars(self, now: float) -> float | None:
        """Cost of all attempts so far."""
        return None if self.price_per_hour is None else self.spent + (now - self.since) / 3600 * self.price_per_hour

    def seconds_left(self, now: float) -> float | None:
        """Until the first limit."""
        left = [] if self.max_seconds is None else [self.max_seconds - (now - self.since)]
        dollars = self.dollars(now)
        if self.max_cost is not None and dollars is not None and self.price_per_hour:
            left.append((self.max_cost - dollars) / self.price_per_hour * 3600)
        return max(0.0, min(left)) if left else None

    def _dollars(self, now: float) -> str:
        dollars = self.dollars(now)
        if dollars is None:
            return ""
        return f"${dollars:.2f}" + ("" if self.max_cost is None else f" of ${self.max_cost:g}")

    def _left(self, now: float) -> str:
        left = self.seconds_left(now)
        return "" if left is None else f"limit in {format_seconds(left)}"
