"""Batches: the rows that training waits for, and what to do when a signal, the end or a failure comes instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ten.errors import DataError, TenError
from ten.train.heartbeat import Heartbeat
from ten.train.stopping import Interrupted, StopRequest

if TYPE_CHECKING:
    from ten.data.loader import StepBatch


class Batches:
    """What `loader` gives, waited for `patience_s` before the watchdog, which `beat` informs, takes it for hung.

    The run wants `total_tokens`; data that ends before is an error.
    """

    def __init__(
        self,
        loader: Iterator[StepBatch],
        stop: StopRequest,
        beat: Heartbeat,
        patience_s: float,
        total_tokens: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failure: TenError | None = None
        """Why there was no batch, where no stop was why."""
        self._loader, self._stop, self._beat = loader, stop, beat
        self._patience_s, self._total_tokens, self._clock = patience_s, total_tokens, clock
        self._tokens = 0

    def take(self) -> tuple[StepBatch | None, float]:
        """The next batch and the seconds it was waited for; no batch when a signal came first, or the data failed."""
        asked = self._clock()
        try:
            with self._stop.interrupting(), self._beat.doing("waiting for data", self._patience_s):
                batch = next(self._loader)
                self._tokens = batch.cursor.tokens
                return batch, self._clock() - asked
        except Interrupted:
            pass
        except StopIteration:
            self.failure = DataError(
                f"the data ended after {self._tokens} of {self._total_tokens} tokens; report this as a bug"
            )
        except TenError as error:
            self.failure = error
        return None, self._clock() - asked
