"""Meter: how many bytes are done of a total, counted by several threads and told at the terminal."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from ten import logs
from ten.units import format_bytes, format_seconds

log = logging.getLogger(__name__)


class Stopped(Exception):
    """Whoever asked for the work has gone."""


class Meter:
    """Bytes done; every object counts with its size, however often some of its bytes come twice."""

    def __init__(self, label: str, total: int, bar: "tqdm[Any]") -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._bar = bar
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._began = time.monotonic()

    @contextmanager
    def counting(self, size: int) -> Iterator[Callable[[int], None]]:
        """A counter for an object of that size, complete when the block ends well."""
        counted = 0

        def advance(count: int) -> None:
            nonlocal counted
            if self._stopped.is_set():
                raise Stopped
            count = min(count, size - counted)
            counted += count
            self.add(count)

        yield advance
        self.add(size - counted)

    def add(self, count: int) -> None:
        """Count bytes."""
        with self._lock:
            self._done += count
            self._bar.update(count)

    def stop(self) -> None:
        """End what counts here at its next bytes."""
        self._stopped.set()

    def tell(self) -> None:
        """Say how far it is."""
        done, seconds = self._done, time.monotonic() - self._began
        said = f"{self._label}: {format_bytes(done)} of {format_bytes(self._total)}"
        if done:
            left = (self._total - done) * seconds / done
            said += f", {format_bytes(int(done / seconds))}/s, {format_seconds(left)} left"
        log.info(said)


@contextmanager
def metered(label: str, total: int) -> Iterator[Meter]:
    """A meter with a progress bar, or with a line each half minute where there is no terminal."""
    with logs.progress(label, total, "B") as bar:
        meter = Meter(label, total, bar)
        with logs.reporting(bar, meter.tell):
            try:
                yield meter
            finally:
                meter.stop()
