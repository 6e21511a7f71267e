"""Flow: how the bytes of one unit may be fetched, and what fetching them cost."""

import time
from collections.abc import Callable, Iterator
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
    network_s: float = 0.0
    """Seconds waited for bytes from elsewhere."""

    def timed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces, with the time each was waited for counted as the network's."""
        while True:
            asked = time.perf_counter()
            piece = next(pieces, None)
            self.network_s += time.perf_counter() - asked
            if piece is None:
                return
            yield piece
