"""Pack room: how much of a pack may lie on this disk while it is made for a store elsewhere."""

import threading
from collections.abc import Callable

from ten.data.cache import ShardCache
from ten.data.room import expected_bytes
from ten.data.uploads import Uploads

_POLL_S = 1.0


class PackRoom:
    """Shards that have arrived in the store make way for new ones; where none has, packing waits for the store."""

    def __init__(self, cache: ShardCache, limit: int | None) -> None:
        """`limit` in bytes; None for no limit. A folder that is the store keeps everything."""
        self._cache = cache
        self._limit = limit
        self._lock = threading.Lock()
        self._coming: dict[int, int] = {}
        """Expected bytes of the units that are being packed."""

    def make(self, unit: int, pulse: Callable[[], None]) -> None:
        """Return when there is room for one more shard, or nothing that could make any; `pulse` may raise to end it.

        Raises what sending shards raised where that is why there is no room.
        """
        uploads = self._cache.uploads
        if uploads is None or self._limit is None:
            return
        with self._lock:
            self._coming[unit] = expected_bytes(self._cache.recipe, self._cache.recipe.units[unit])
            while (excess := self._excess(uploads)) > 0:
                if not self._evict(excess, uploads) and not uploads.wait(_POLL_S):
                    uploads.check()
                    return
                pulse()

    def _excess(self, uploads: Uploads) -> int:
        present = self._cache.present()
        for unit in self._coming.keys() & (present.keys() | uploads.sent):
            del self._coming[unit]
        return sum(present.values()) + sum(self._coming.values()) - (self._limit or 0)

    def _evict(self, excess: int, uploads: Uploads) -> bool:
        """Whether some shards could be deleted."""
        present = self._cache.present()
        going = sorted(present.keys() & uploads.sent)
        for unit in going:
            if excess <= 0:
                break
            self._cache.evict(unit)
            excess -= present[unit]
        return bool(going)
