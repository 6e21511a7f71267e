"""Starvation: whether the trainer waits for data, what holds the data up, and what to do about it."""

import os
from collections import deque
from typing import NamedTuple

from ten.data.supply import Supply

_WINDOW_STEPS = 20
_WINDOW_S = 60.0
_SHARE = 0.1
_LEAST_WAIT_S = 5.0
_QUIET_S = 300.0

_PACK = "run `make pack` once on a cheap machine and train on its shards in mode pretok"
_CAUSES = {
    "network": "waiting for bytes",
    "tokenizer": "reading and tokenizing text",
    "disk": "writing shards",
}


class _Step(NamedTuple):
    seconds: float
    waited: float
    spent_before: Supply | None


class Starvation:
    """Fed with every step of one attempt; says now and then that too much of the time was waiting.

    It looks at the latest steps: at least 20, and at least a minute of them where they are short.
    """

    def __init__(self, cores: int | None = None) -> None:
        self._cores = cores or os.cpu_count() or 1
        self._steps: deque[_Step] = deque()
        self._seconds = self._waited = 0.0
        """Of the steps in the window."""
        self._now = self._quiet_until = 0.0
        self._spent: Supply | None = None
        self._begun = False

    def add(self, seconds: float, waited: float, supply: Supply | None) -> str | None:
        """Note a step of `seconds`, `waited` of them for its batch; a warning where one is due.

        `supply` is what making shards has cost so far, None where none are made. The first step does not count: it
        waits for the data to come into motion.
        """
        before, self._spent = self._spent, supply
        if not self._begun:
            self._begun = True
            return None
        self._steps.append(_Step(seconds, waited, before))
        self._now += seconds
        self._seconds += seconds
        self._waited += waited
        while len(self._steps) > _WINDOW_STEPS and self._seconds - self._steps[0].seconds >= _WINDOW_S:
            gone = self._steps.popleft()
            self._seconds -= gone.seconds
            self._waited -= gone.waited
        if self._now < self._quiet_until or self._waited <= max(_LEAST_WAIT_S, _SHARE * self._seconds):
            return None
        self._quiet_until = self._now + _QUIET_S
        return (
            f"the trainer waited {self._waited / self._seconds:.0%} of the last {self._seconds:.0f} s for data: "
            f"{self._reason()}"
        )

    def _reason(self) -> str:
        if self._spent is None:
            return "reading the shards is the limit; put data.cache_dir on a faster volume"
        recent = self._spent - (self._steps[0].spent_before or Supply())
        recent = recent if recent.seconds else self._spent
        limit = recent.limit()
        if limit is None:
            return f"no shard is packed yet, so it cannot be told why; if it goes on, {_PACK}"
        return (
            f"the {limit} is the limit ({recent.share(limit):.0%} of packing is {_CAUSES[limit]}, and a thread gets "
            f"through {recent.text_bytes / recent.seconds / 1e6:.1f} MB/s of text); {self._cure(limit)}"
        )

    def _cure(self, limit: str) -> str:
        if limit == "disk":
            return "put data.cache_dir, and the store if it is a folder, on a faster volume"
        if limit == "network":
            return f"train on a machine nearer to the data, or {_PACK}"
        return f"raise data.pack_threads (this machine has {self._cores} cores), or {_PACK}"
