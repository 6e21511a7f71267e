"""Heartbeat: what training is doing, for how long, and how long that may take. Pure but for its clock."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

LEAST_S = 120.0
"""No step is called late before this."""
TIMES = 10
"""So many times the usual step is late."""
START_S = 30 * 60.0
"""Before the first step: weights, the first kernels, the other ranks."""
SAVE_S = 30 * 60.0
"""A checkpoint's way to a slow disk."""
_WINDOW = 64


class Heartbeat:
    """Told by the loop what begins and ends; asked by another thread whether it is overdue.

    `polled_at` gives the last time, by the same clock, that a micro-batch was begun: a long step of many is no hang.
    """

    def __init__(
        self, polled_at: Callable[[], float] = lambda: float("-inf"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._polled_at, self._clock = polled_at, clock
        self._steps: deque[float] = deque(maxlen=_WINDOW)
        self._doing, self._since, self._allowed = "getting ready for the first step", clock(), START_S

    def stepped(self, seconds: float) -> None:
        """A step was taken, in so many seconds without the wait for its batch."""
        self._steps.append(seconds)
        self._begin("training", self._step_s())

    @contextmanager
    def doing(self, what: str, at_least_s: float) -> Iterator[None]:
        """Within the block something else than a step goes on, which may take so long or as long as a late step."""
        before = self._doing, self._allowed
        self._begin(what, max(at_least_s, before[1]))
        try:
            yield
        finally:
            self._begin(*before)

    def seconds_left(self) -> float:
        """Until what goes on now is overdue."""
        return max(self._since, self._polled_at()) + self._allowed - self._clock()

    def describe(self) -> str:
        """What goes on, since when and against what, for people."""
        since = self._clock() - max(self._since, self._polled_at())
        usual = f", a step takes {median(self._steps):.3g} s" if self._steps else ""
        return f"watchdog: {self._doing} for {since:.0f} s without a sign of progress{usual}"

    def _step_s(self) -> float:
        return max(LEAST_S, TIMES * median(self._steps))

    def _begin(self, doing: str, allowed: float) -> None:
        self._doing, self._since, self._allowed = doing, self._clock(), allowed
