"""Recent reads: the last ranges this process read, for those who read the first of them two or three times."""

import threading
from collections import OrderedDict

from ten.hub.address import HubAddress

Range = tuple[HubAddress, int, int]


class RecentReads:
    """Bytes of the ranges read last, up to a total; the one unused for longest goes first."""

    def __init__(self, most_bytes: int = 32 << 20) -> None:
        self._most, self._held = most_bytes, 0
        self._ranges: OrderedDict[Range, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Range) -> bytes | None:
        """A range's bytes, if they are still held."""
        with self._lock:
            if key not in self._ranges:
                return None
            self._ranges.move_to_end(key)
            return self._ranges[key]

    def forget(self, address: HubAddress) -> None:
        """Hold no range of a file."""
        with self._lock:
            for key in [key for key in self._ranges if key[0] == address]:
                self._held -= len(self._ranges.pop(key))

    def keep(self, key: Range, data: bytes) -> None:
        """Hold a range's bytes, at the cost of the oldest; what is larger than all room is not held."""
        if len(data) > self._most:
            return
        with self._lock:
            self._held += len(data) - len(self._ranges.pop(key, b""))
            self._ranges[key] = data
            while self._held > self._most:
                _, oldest = self._ranges.popitem(last=False)
                self._held -= len(oldest)
