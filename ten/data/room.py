"""Room: how much of a pack may lie on this disk, and which shards make way for others."""

import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from ten.data.cache import ShardCache, shard_sizes
from ten.data.cursor import Cursor
from ten.data.order import ERA_UNITS, era_units
from ten.data.recipe import Recipe
from ten.errors import DiskFull
from ten.text.units import Unit, text_bytes
from ten.units import format_bytes

_FREE_SHARE = 0.9
"""The rest is left to whatever else writes on the disk: journals, logs, other programs."""
_TEXT_PER_TOKEN = 4
"""Rough bytes of text in a token."""
_FAIR_SAMPLE = 8
"""So many shards tell more about their size than the listing does."""
_LOADER_STEPS = 8
"""More steps than any rank's loader may be ahead of the trainer."""
_HELD_OUT_UNITS = 5
"""Units set apart for evaluation of which that many are read, and asked for, where there are more."""
_ERAS_AT_ONCE = 3
_UNLIMITED = 2**63


def cache_limit_bytes(folder: Path, wanted: int | None, reserved: int) -> int:
    """Bytes that a pack's shards may take in its `folder`: `wanted`, else what the disk has beside `reserved` bytes."""
    if wanted is not None:
        return wanted
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return limit_beside(shutil.disk_usage(existing).free, sum(shard_sizes(folder).values()), reserved)


def limit_beside(free: int, present: int, reserved: int) -> int:
    """The limit for shards of which `present` bytes are there already, on a disk with `free` bytes left."""
    return max(0, round(free * _FREE_SHARE) + present - reserved)


def expected_bytes(recipe: Recipe, unit: Unit) -> int:
    """About what a unit's shard will take, by the listing alone."""
    text = sum(text_bytes(recipe.corpus.files[part.file]) / part.parts for part in unit.parts)
    return round(text / _TEXT_PER_TOKEN * _TOKEN_BYTES[recipe.dtype])


_TOKEN_BYTES = {"U16": 2, "U32": 4}


def eras_from(cursor: Cursor, units: int) -> Iterator[list[int]]:
    """The units of the cursor's era, of the next one and so on, epoch after epoch without end."""
    epoch, era = cursor.epoch, cursor.era
    while True:
        if found := era_units(cursor.seed, epoch, era, units):
            yield found
            era += 1
        else:
            epoch, era = epoch + 1, 0


class Room:
    """Watches the shards of one pack in its folder. Used by the loader's thread and the trainer's.

    Whoever asks ahead gets room only below the limit; what is needed at once is let in always, so nothing waits for
    an eviction that cannot come. A shard makes way when this epoch has been trained past its era, the oldest first,
    and no era from the trained one on to the furthest that a loader may have asked for holds it again. The trained
    cursor of this rank speaks for all: ranks finish a step together, and loaders are ahead of it, never behind.
    """

    def __init__(self, cache: ShardCache, limit: int) -> None:
        """Raises DiskFull when shards are missing and three eras of them do not fit into `limit` bytes.

        Three: at the turn of an epoch, the trained era, the next one, and one that is asked for ahead have other units.
        A finished pack in the store itself is never evicted from, also one that another process finishes meanwhile.
        """
        self._cache = cache
        self._limit = _UNLIMITED if cache.is_kept else limit
        self._units = cache.recipe.training_units
        self._held_out = frozenset(range(self._units, min(self._units + _HELD_OUT_UNITS, len(cache.recipe.units))))
        self._expected = max((expected_bytes(cache.recipe, unit) for unit in cache.recipe.units), default=0)
        self._present = cache.present()
        self._bytes = sum(self._present.values())
        self._largest = max(self._present.values(), default=0)
        self._coming: set[int] = set()
        self._waiting: dict[int, None] = {}
        self._trained: Cursor | None = None
        self._behind: list[int] = []
        """Units of this epoch's eras before the trained one, in the order they were read."""
        self._soon: frozenset[int] | None = None
        self._lock = threading.Lock()
        self._refuse_too_little()

    def admit(self, units: Sequence[int]) -> list[int]:
        """Those of the units, wanted ahead in this order, that may be packed now; `passed` gives the others later."""
        with self._lock:
            self._waiting.update(dict.fromkeys(unit for unit in units if unit not in self._coming))
            return self._admitted()

    def insist(self, unit: int) -> None:
        """A unit that is not there is packed now, whether it fits or not."""
        with self._lock:
            self._bytes -= self._present.pop(unit, 0)
            self._waiting.pop(unit, None)
            self._coming.add(unit)

    def passed(self, cursor: Cursor) -> list[int]:
        """Evict what may go and has to, now that training stands at `cursor`; the waiting units that fit then."""
        with self._lock:
            before, self._trained = self._trained, cursor
            if before is None:  # how far loaders are ahead follows from the size of a step
                return []
            if self._soon is None or (before.epoch, before.era) != (cursor.epoch, cursor.era):
                if self._soon is None or before.epoch != cursor.epoch:
                    self._behind, left = [], range(cursor.era)
                else:
                    left = range(before.era, cursor.era)
                self._behind += [unit for era in left for unit in self._era_units(cursor, era)]
                self._soon = self._needed_soon(cursor, cursor.tokens - before.tokens)
            elif not self._waiting and self._taken() <= self._limit:
                return []
            self._look()
            self._evict(self._soon)
            return self._admitted()

    def _refuse_too_little(self) -> None:
        recipe = self._cache.recipe
        at_once = min(_ERAS_AT_ONCE * ERA_UNITS, self._units) + len(self._held_out)
        need = at_once * self._estimate()
        if need <= self._limit or all(unit.index in self._present for unit in recipe.units):
            return
        whole = sum(self._present.get(unit.index, expected_bytes(recipe, unit)) for unit in recipe.units)
        if (need := min(whole, need)) > self._limit:
            raise DiskFull(
                f"{self._cache.folder}: {at_once} shards of {recipe.corpus.dataset} must fit there at a time, some "
                f"{format_bytes(need)}, and the limit is {format_bytes(self._limit)} (data.cache_limit, else what the "
                "disk has free beside the run's checkpoints); free some space, raise data.cache_limit, name a "
                "larger disk with --set data.cache_dir=DIR, or train on less with --set data.subset_size=N"
            )

    def _era_units(self, cursor: Cursor, era: int) -> list[int]:
        return era_units(cursor.seed, cursor.epoch, era, self._units)

    def _needed_soon(self, cursor: Cursor, step_tokens: int) -> frozenset[int]:
        """Units of the trained era, of those a loader may be reading, and of one more, which it asks for ahead."""
        eras = eras_from(cursor, self._units)
        soon = set(next(eras))
        ahead = _LOADER_STEPS * step_tokens * _TOKEN_BYTES[self._cache.recipe.dtype]
        while ahead > 0 and len(soon) < self._units:
            era = next(eras)
            soon.update(era)
            # half: a shard also holds held-out text, where documents end, and a tail that is no whole row
            ahead -= sum(self._present.get(unit, self._estimate()) // 2 for unit in era)
        return frozenset(soon.union(next(eras)))

    def _evict(self, soon: frozenset[int]) -> None:
        """Make room for everything that is needed soon, as far as that goes."""
        needed = soon.union(self._held_out, self._coming, self._waiting)
        missing = sum(unit not in self._present for unit in needed)
        excess = self._bytes + missing * self._estimate() - self._limit
        if excess > 0 and self._cache.is_kept:
            self._limit = _UNLIMITED
            return
        for unit in self._behind:
            if excess <= 0:
                return
            if unit in self._present and unit not in soon:
                self._cache.evict(unit)
                size = self._present.pop(unit)
                self._bytes -= size
                excess -= size

    def _admitted(self) -> list[int]:
        admitted: list[int] = []
        for unit in list(self._waiting):
            if unit not in self._present:
                if self._taken() + self._estimate() > self._limit:
                    break
                self._coming.add(unit)
            del self._waiting[unit]
            admitted.append(unit)
        return admitted

    def _look(self) -> None:
        """Count the shards that have come."""
        for unit in list(self._coming):
            if (size := self._cache.size(unit)) is not None:
                self._coming.remove(unit)
                self._bytes += size - self._present.get(unit, 0)
                self._present[unit] = size
                self._largest = max(self._largest, size)

    def _taken(self) -> int:
        return self._bytes + len(self._coming) * self._estimate()

    def _estimate(self) -> int:
        """What one more shard takes."""
        return self._largest if len(self._present) >= _FAIR_SAMPLE else max(self._largest, self._expected)
