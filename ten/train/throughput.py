"""Tokens per second over a recent window, from counts and a clock; pure."""

from collections import deque


class Throughput:
    """Rate over the last `window` steps; waits for data count, but for the one before the first step."""

    def __init__(self, tokens: int, window: int = 20) -> None:
        self._tokens = tokens
        self._marks: deque[tuple[int, float]] = deque(maxlen=window + 1)

    def add(self, tokens: int, begun: float, now: float) -> None:
        """Note a step that had its batch at `begun`, and `tokens` in all at `now` (seconds of any steady clock)."""
        if not self._marks:
            self._marks.append((self._tokens, begun))
        self._marks.append((tokens, now))

    def tokens_per_second(self) -> float:
        """Tokens a second over the window; 0 before the first step."""
        if not self._marks:
            return 0.0
        (first_tokens, first), (last_tokens, last) = self._marks[0], self._marks[-1]
        return (last_tokens - first_tokens) / (last - first) if last > first else 0.0

    def seconds_left(self, total_tokens: int) -> float | None:
        """Seconds until `total_tokens` at this rate; None while the rate is unknown."""
        rate = self.tokens_per_second()
        return max(0, total_tokens - self._marks[-1][0]) / rate if rate else None
