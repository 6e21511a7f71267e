"""Waiting: what a person is told while the trainer waits for data: nothing at first, then a line now and then."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

_FIRST_S = 10.0
_EVERY_S = 30.0


class Waiting:
    """One wait, polled by whoever waits; says what is `awaited` and the `reason` that is given when it is asked.

    `is_told` is False for waits that hold nobody up, such as those of a thread that works ahead.
    """

    def __init__(
        self,
        awaited: str,
        reason: Callable[[], str],
        *,
        is_told: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.awaited = awaited
        self._reason, self._is_told, self._clock = reason, is_told, clock
        self._began = clock()
        self._due = _FIRST_S

    def poll(self) -> None:
        """Say so when the wait has been long: after 10 s, then every 30 s."""
        waited = self._clock() - self._began
        if self._is_told and waited >= self._due:
            self._due = waited + _EVERY_S
            log.warning("waited %.0f s for %s: %s", waited, self.awaited, self._reason())
