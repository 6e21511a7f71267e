"""Pack cost: what packing one unit costs, as far as it has come."""

import time

from ten.data.packing import Work
from ten.data.supply import Supply


class PackCost:
    """What packing one unit costs, as far as it has come; read by the thread that pulses too."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._began = time.perf_counter()
        self._packed: float | None = None
        self.paused_s = 0.0
        self._told = -1

    def packed(self) -> None:
        """What follows is writing."""
        self._packed = time.perf_counter()

    def supply(self) -> Supply:
        """The cost so far."""
        now, network_s, tokenize_s = time.perf_counter(), self._work.flow.network_s, self._work.tokenize_s
        packed = now if self._packed is None else self._packed
        return Supply(
            network_s=network_s,
            decode_s=max(0.0, packed - self._began - self.paused_s - network_s - tokenize_s),
            tokenize_s=tokenize_s,
            disk_s=now - packed,
            text_bytes=self._work.text_bytes,
        )

    def has_moved(self) -> bool:
        """Whether there is more text than when this was asked last, or bytes are awaited, which has a deadline."""
        before, self._told = self._told, self._work.text_bytes
        return self._told > before or self._work.flow.is_waiting
