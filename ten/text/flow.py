"""Flow: how the bytes of one unit may be fetched, and what fetching them cost."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

RANGES_AHEAD = 4
"""Row groups or blocks in flight behind the one that is being read, each on a connection of its own."""


def _always() -> int:
    return RANGES_AHEAD


@dataclass(slots=True)
class Flow:
    """One unit's way from its source; mutable, and of one thread."""

    ahead: Callable[[], int] = _always
    """How many ranges may be in flight beyond the one that is needed now."""
    skip_bad: bool = False
    """Whether a row group that does not decode is left out and counted, instead of ending the work."""
    bad: int = 0
    """Row groups left out."""
    _waited_s: float = 0.0
    _asked: float | None = None
    """When the wait began that is going on."""

    @property
    def network_s(self) -> float:
        """Seconds waited for bytes from elsewhere, the wait that is going on included."""
        asked = self._asked
        return self._waited_s + (0.0 if asked is None else time.perf_counter() - asked)

    @property
    def is_waiting(self) -> bool:
        """Whether bytes from elsewhere are awaited at this moment; whoever fetches them has a deadline."""
        return self._asked is not None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the block as a wait for the network."""
        self._asked = time.perf_counter()
        try:
            yield
        finally:
            self._waited_s, self._asked = self.network_s, None

    def timed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces, with the time each was waited for counted as the network's."""
        while True:
            with self.waiting():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece
