"""Fill policies: how a shard that is wanted comes to be in the cache. The three modes differ here and nowhere else."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ten.data.cache import ShardCache
from ten.data.cursor import Cursor
from ten.data.order import era_units, is_sequential
from ten.data.packer import Packer
from ten.data.room import Room
from ten.data.shards import Shard
from ten.data.supply import Supply
from ten.errors import DataError, MissingInput, ServiceUnavailable

_POLL_S = 0.05
_STORE_POLL_S = 2.0


class Fill(Protocol):
    """Gives shards in any order; told ahead which come next."""

    def want(self, units: Sequence[int]) -> None:
        """These units will be read soon, in this order."""

    def shard(self, unit: int) -> Shard:
        """A whole, verified shard; waits for it."""

    def tokens_from(self, unit: int, tokens: int) -> "tuple[NDArray[Any], NDArray[np.uint64]] | None":
        """At least the first `tokens` tokens of a unit that is still being packed and the ends of its documents.

        None when the unit is whole and `shard` gives it at once.
        """

    def passed(self, cursor: Cursor) -> None:
        """Training has finished the step that ends at this cursor."""

    def supply(self) -> Supply | None:
        """What making shards has cost so far; None where none are made here."""

    def holdup(self) -> str:
        """Why what is awaited is not there yet, for people."""

    def close(self) -> None:
        """Let go of helpers."""


class PretokFill:
    """Shards must exist; nothing is tokenized."""

    def __init__(self, cache: ShardCache, advice: str) -> None:
        """Raises MissingInput when a pack without a manifest lacks a shard: now, not hours later when it is read."""
        self._cache = cache
        self._advice = advice
        if cache.manifest() is None:
            missing = [unit.index for unit in cache.recipe.units if not cache.has(unit.index)]
            if missing:
                state = "is not finished" if len(missing) < len(cache.recipe.units) else "does not exist yet"
                raise self._missing(missing[0], state)

    def want(self, units: Sequence[int]) -> None:
        """Nothing to prepare: the shards are there or they are not."""

    def shard(self, unit: int) -> Shard:
        """The packed shard; MissingInput that names the command which packs it."""
        shard = self._cache.find(unit)
        if shard is None:
            raise self._missing(unit, "has lost a shard")
        return shard

    def tokens_from(self, unit: int, tokens: int) -> None:
        """Nothing grows here."""

    def passed(self, cursor: Cursor) -> None:
        """Every shard stays."""

    def supply(self) -> None:
        """Nothing is made here."""

    def holdup(self) -> str:
        """Only reading takes time."""
        return f"a shard is read from {self._cache.address}"

    def close(self) -> None:
        """Nothing to let go of."""

    def _missing(self, unit: int, state: str) -> MissingInput:
        return MissingInput(
            f"the pack {self._cache.address} {state}: shard {unit} is not there; run `{self._advice}`, or train with "
            "--streaming"
        )


class StreamingFill:
    """Shards are packed on demand, or pulled from a store, by one packer process; ahead, as far as there is room.

    `room` says what may lie on the disk; without one everything may. `told` hears at the end what it all has cost.
    """

    def __init__(
        self,
        cache: ShardCache,
        packer: Packer,
        room: Room | None = None,
        told: Callable[[Supply], None] = lambda _supply: None,
    ) -> None:
        self._cache = cache
        self._room = room
        self._told: Callable[[Supply], None] | None = told
        self.packer = packer

    def want(self, units: Sequence[int]) -> None:
        """Have these packed ahead, in this order."""
        self._request(self._room.admit(units) if self._room else units)

    def shard(self, unit: int) -> Shard:
        """The shard from the cache, else packed now."""
        for again in (False, True):  # again: it was whole when the packer looked, and is not any more
            if (shard := self._find(unit)) is not None:
                return shard
            self._insist(unit)
            self.packer.request(unit, again=again)
            self.packer.wait_done(unit)
        if (shard := self._cache.find_here(unit)) is not None:
            return shard
        raise DataError(f"{self._cache.folder}: shard {unit} vanished right after it came; is the disk sound?")

    def tokens_from(self, unit: int, tokens: int) -> tuple[NDArray[Any], NDArray[np.uint64]] | None:
        """What is packed of a unit so far, once it reaches `tokens`."""
        if self._find(unit) is not None:
            return None
        self._insist(unit)
        self.packer.request(unit, grow=True)
        return self.packer.wait_tokens(unit, tokens)

    def begin(self, cursor: Cursor) -> None:
        """Have packed what is read first after a cursor, before anybody waits for it."""
        units = era_units(cursor.seed, cursor.epoch, cursor.era, self._cache.recipe.training_units)
        if not is_sequential(cursor.epoch, cursor.era):
            self.packer.release()
            self.want(units)
        elif units and self._cache.size(units[0]) is None:
            self.packer.request(units[0], grow=True)

    def passed(self, cursor: Cursor) -> None:
        """Let the packer work ahead from the first step on, and shards that were trained on make way for new ones."""
        self.packer.release()
        if self._room:
            self._request(self._room.passed(cursor))

    def supply(self) -> Supply:
        """What the packer process has said of its work."""
        return self.packer.supply

    def holdup(self) -> str:
        """What the packer process is busy with."""
        return self.packer.holdup()

    def close(self) -> None:
        """End the packer process."""
        self.packer.close()
        if self._told is not None:
            self._told(self.packer.supply)
            self._told = None

    def _request(self, units: Sequence[int]) -> None:
        for unit in units:  # again: it may have been evicted since it was done
            self.packer.request(unit, again=self._cache.size(unit) is None)

    def _insist(self, unit: int) -> None:
        if self._room:
            self._room.insist(unit)

    def _find(self, unit: int) -> Shard | None:
        return _find_sound(self._cache, unit)


class FollowingFill:
    """For the ranks beside the one that runs the packer: shards appear in the folder they share."""

    def __init__(self, cache: ShardCache, patience_s: float = 3600.0) -> None:
        self._cache = cache
        self._patience_s = patience_s
        self._closed = threading.Event()
        self._era = (0, 0)

    def want(self, units: Sequence[int]) -> None:
        """The leading rank reads the same units and asks for them."""

    def shard(self, unit: int) -> Shard:
        """The shard as soon as it is published; ServiceUnavailable past the deadline."""
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            if (shard := _find_sound(self._cache, unit)) is not None:
                return shard
            if self._closed.wait(_POLL_S):
                raise ServiceUnavailable(f"closed while shard {unit} of {self._cache.address} was awaited")
        raise ServiceUnavailable(
            f"shard {unit} of {self._cache.address} did not appear within {self._patience_s:.0f} s; "
            "see what the rank that packs it says"
        )

    def wait_finished(self, patience_s: float = 86400.0) -> None:
        """Until the pack is complete; ServiceUnavailable past the deadline."""
        deadline = time.monotonic() + patience_s
        poll_s = _POLL_S if self._cache.uploads is None else _STORE_POLL_S
        while not self._cache.pack.has_manifest():
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"the pack {self._cache.address} was not finished within {patience_s:.0f} s")
            time.sleep(poll_s)

    def tokens_from(self, unit: int, tokens: int) -> None:
        """Whole shards only."""

    def passed(self, cursor: Cursor) -> None:
        """Let go of what the leading rank has evicted."""
        if (era := (cursor.epoch, cursor.era)) != self._era:
            self._era = era
            self._cache.forget_evicted()

    def supply(self) -> None:
        """The leading rank knows."""

    def holdup(self) -> str:
        """The leading rank knows more."""
        return f"the rank that packs has not published it in {self._cache.folder} yet"

    def close(self) -> None:
        """End whatever wait another thread is in."""
        self._closed.set()


def _find_sound(cache: ShardCache, unit: int) -> Shard | None:
    try:
        return cache.find_here(unit)
    except DataError:  # damaged and put aside, and said so: the packer makes it anew
        return None
