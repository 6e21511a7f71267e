"""Traffic: bytes on their way between a run's folder and its store, counted, shown and told."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ten import logs
from ten.units import format_bytes, format_seconds

log = logging.getLogger(__name__)


class Traffic:
    """So many of `total` bytes; counted by any thread, shown by one."""

    def __init__(self, label: str, total: int) -> None:
        self.total = total
        self.done = 0
        self._label = label
        self._begun = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        """So many more bytes have gone."""
        with self._lock:
            self.done += count

    @contextmanager
    def shown(self) -> Iterator[Callable[[], object]]:
        """A bar on a terminal, a line now and then elsewhere; the bar moves when what this gives is called."""
        with logs.progress(self._label, self.total, "B", self.done) as bar, logs.reporting(bar, self.tell):
            yield lambda: bar.update(self.done - bar.n)

    def tell(self) -> None:
        """Log how far it is."""
        rate = self.done / (time.monotonic() - self._begun)
        left = f"{format_seconds((self.total - self.done) / rate)} left" if rate else "nothing has gone yet"
        done, total = format_bytes(self.done), format_bytes(self.total)
        log.info("%s: %s of %s, %s/s, %s", self._label, done, total, format_bytes(round(rate)), left)
