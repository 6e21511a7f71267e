"""Interval: how often something is done, counted in steps or in seconds."""

from dataclasses import dataclass

from ten.errors import SpecError
from ten.units import parse_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every `steps` steps, or every `seconds` seconds; both 0 means never (only at the end)."""

    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, value: str | int) -> "Interval":
        """Steps from 500 or "500", time from "90s", "10m" or "1h", never from 0; anything else is a SpecError."""
        text = str(value).strip()
        if text.lstrip("-").isdigit():
            if int(text) < 0:
                raise SpecError(f"{value!r}: an interval counts steps from 0 (never) upwards")
            return cls(steps=int(text))
        seconds = parse_seconds(text)
        if seconds <= 0:
            raise SpecError(f"{value!r}: an interval in time must be longer than zero; write 0 for never")
        return cls(seconds=seconds)


class Timer:
    """Tells when an interval is due. Steps are counted from the start of the run, seconds from the last `mark`."""

    def __init__(self, interval: Interval, now: float) -> None:
        self._interval = interval
        self._marked = now

    def due(self, step: int, now: float) -> bool:
        """True when `step` is a multiple of the interval, or when its seconds have passed since the last mark."""
        if self._interval.steps:
            return step > 0 and step % self._interval.steps == 0
        return self._interval.seconds > 0 and now - self._marked >= self._interval.seconds

    def mark(self, now: float) -> None:
        """Note that it was done now."""
        self._marked = now
