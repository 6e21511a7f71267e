"""Retry arithmetic: which answers pass by themselves, how long to wait before the next try, and which rate is none."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
USEFUL_BYTES_PER_S = 1024
"""A connection slower than this is as good as silent."""
_RESET_IN = re.compile(r"(?:^|[;,])\s*t\s*=\s*(\d{1,9})\b")


class Transient(Exception):
    """A try failed in a way that the next may not; never leaves the transport."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s
        """How long the host asked to be left alone, if it did."""


def passes_by_itself(status: int) -> bool:
    """Whether a status says "later", not "no"."""
    return status in (408, 425, 429) or status >= 500


def backoff_s(failures: int, chance: float) -> float:
    """Seconds before the next try after `failures` failures in a row (from 0); `chance` in [0, 1) spreads callers."""
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * float(2 ** min(failures, 16)))
    return longest * (0.5 + 0.5 * chance)


def asked_wait_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that `Retry-After` (seconds or an HTTP date) or `RateLimit: ...;t=seconds` asks for, or None.

    Sources: RFC 9110 section 10.2.3 and draft-ietf-httpapi-ratelimit-headers, as the hub sends them.
    """
    after = headers.get("Retry-After", "").strip()
    if after:
        if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", after, re.ASCII):
            return float(after)
        try:
            when = parsedate_to_datetime(after)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
        except (ValueError, TypeError, OverflowError):
            pass  # no date either: the other header, or our own back-off, decides
    reset = _RESET_IN.search(headers.get("RateLimit", ""))
    return float(reset[1]) if reset else None


class Pace:
    """Whether bytes arrive at a useful rate: at least `USEFUL_BYTES_PER_S` over any `window_s`."""

    def __init__(self, window_s: float, now: float) -> None:
        self._window_s, self._since, self._count = window_s, now, 0

    def add(self, count: int, now: float) -> bool:
        """Count bytes that came in at `now`; True when a window is full, and another begins."""
        self._count += count
        if self._count < self._window_s * USEFUL_BYTES_PER_S:
            return False
        self._since, self._count = now, 0
        return True

    def too_slow(self, now: float) -> bool:
        """Whether the window has passed without filling."""
        return now - self._since > self._window_s

    def restart(self, now: float) -> None:
        """Begin another window, empty."""
        self._since, self._count = now, 0
