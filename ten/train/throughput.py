"""Tokens per second over a recent window, from counts and a clock; pure."""

from collections import deque


class Throughput:
    """Rate over the last `window` steps; waits for data are part of the time."""

    def __init__(self, tokens: int, now: float, window: int = 20) -> None:
        self._marks: deque[tuple[int, float]] = deque([(tokens, now)], maxlen=window + 1)

    def add(self, tokens: int, now: float) -> None:
        """Note that `tokens` in all were consumed at `now` (seconds of any steady clock)."""
        self._marks.append((tokens, now))

    def tokens_per_second(self) -> float:
        """Tokens a second over the window; 0 before the first step."""
        (first_tokens, first), (last_tokens, last) = self._marks[0], self._marks[-1]
        return (last_tokens - first_tokens) / (last - first) if last > first else 0.0

    def seconds_left(self, total_tokens: int) -> float | None:
        """Seconds until `total_tokens` at this rate; None while the rate is unknown."""
        rate = self.tokens_per_second()
        return max(0, total_tokens - self._marks[-1][0]) / rate if rate else None
