"""Move: objects of one pack or run on their way from a store to another; what is there as it must be stays."""

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Literal

import msgspec

from ten.errors import DataError, MissingInput
from ten.holdings.contents import Checkpoint, Item, place, read_small, shard_item, sound_entry
from ten.holdings.meter import Meter
from ten.holdings.naming import Holding
from ten.store.copying import copy_object
from ten.store.crew import Crew
from ten.store.hashing import sha256_of
from ten.store.in_order import in_order
from ten.store.protocol import Store

_AT_ONCE = 4
_AHEAD = 64


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What came of moving a pack or run."""

    kind: str
    name: str
    source: str
    target: str
    moved: int
    """Objects copied; after their bytes those that were there as they must be."""
    moved_bytes: int
    there: int
    there_bytes: int
    notes: tuple[str, ...]
    """What one might not expect, in words."""
    damaged: tuple[str, ...]
    """Objects that are not sound where they come from, and were not copied."""


class Move:
    """The way of one pack or run. Raises what the stores fail with; objects that are not sound are noted."""

    def __init__(self, source: Store, target: Store, holding: Holding, meter: Meter) -> None:
        self.source, self.target, self.holding = source, target, holding
        self.there = Holding(kind=holding.kind, name=holding.name, prefix=holding.usual_prefix)
        self.notes: list[str] = []
        self._meter = meter
        self._counts = {"moved": [0, 0], "there": [0, 0]}
        self._damaged: list[str] = []

    def objects(self, items: Iterable[Item], of: Checkpoint | None = None) -> bool:
        """Move objects that a manifest or COMPLETE lists, several at a time; whether all of them are there now.

        Those of a checkpoint that is deleted meanwhile, as the process does that trains the run, are no damage.
        """
        damaged = []
        with closing(in_order(Crew(_AT_ONCE), self._object, items, ahead=_AHEAD)) as outcomes:
            for item, outcome in outcomes:
                if outcome in ("moved", "there"):
                    self._count(outcome, item.bytes)
                else:
                    damaged.append(outcome)
        if damaged and of and self.source.stat(self.holding.key(of.seal_name)) is None:
            self.note_retired(of.name)
        else:
            self._damaged += damaged
        return not damaged

    def note_retired(self, name: str) -> None:
        """A checkpoint was deleted at its source meanwhile."""
        self.notes.append(f"{name} was deleted at {self.source.url} meanwhile; the same again moves what is there now")

    def small(self, *names: str) -> None:
        """Move small objects as far as they are there."""
        for name in names:
            try:
                data = read_small(self.source, self.holding, name)
            except MissingInput:
                continue
            except DataError as error:
                self._damaged.append(str(error))
                continue
            self._put(self.there.key(name), data)

    def companion(self, key: str, data: bytes) -> None:
        """Put an object beside it, unless there is one: other packs and runs rely on what was there first."""
        size, new = len(data), self.target.write_new(key, data)
        self._count("moved" if new else "there", size)
        if not new and self._held(key) != data:
            kept = place(self.target, msgspec.structs.replace(self.there, prefix=""), key)
            self.notes.append(f"{kept} says something else than in {self.source.url}; it stays as it is")

    def unseal(self, name: str) -> None:
        """Unpublish what would not fit to its objects while these are replaced."""
        key = self.there.key(name)
        if self._held(key) not in (None, self.source.read(self.holding.key(name))):
            self.target.delete(key)

    def damage(self, error: DataError) -> None:
        """Note something that cannot be moved."""
        self._damaged.append(str(error))

    def ended(self) -> Moved:
        """What came of it."""
        (moved, moved_bytes), (there, there_bytes) = self._counts.values()
        return Moved(
            kind=self.holding.kind,
            name=self.holding.name,
            source=self.source.url,
            target=self.target.url,
            moved=moved,
            moved_bytes=moved_bytes,
            there=there,
            there_bytes=there_bytes,
            notes=tuple(self.notes),
            damaged=tuple(self._damaged),
        )

    def _object(self, item: Item) -> tuple[Item, str]:
        """The object, and what became of it: "moved", "there", or what is wrong with it."""
        with self._meter.counting(item.bytes) as advance:
            try:
                known = item if item.sha256 is not None else self._described(item)
                return item, self._ensure(known, str(known.sha256), advance)
            except (DataError, MissingInput) as error:
                return item, str(error)

    def _described(self, item: Item) -> Item:
        """A shard of an unfinished pack with its hash: as its writer noted it, else as reading it shows."""
        stat = self.source.stat(self.holding.key(item.name))
        if stat is not None and stat.sha256 and stat.about:
            return msgspec.structs.replace(item, sha256=stat.sha256, about=stat.about)
        return shard_item(sound_entry(self.source, self.holding, item))

    def _ensure(self, item: Item, sha256: str, advance: Callable[[int], object]) -> Literal["moved", "there"]:
        key = self.there.key(item.name)
        if self._is_there(key, item.bytes, sha256):
            return "there"
        source_key = self.holding.key(item.name)
        copy_object(self.source, source_key, self.target, key, sha256=sha256, about=item.about, advance=advance)
        return "moved"

    def _is_there(self, key: str, size: int, sha256: str) -> bool:
        stat = self.target.stat(key)
        if stat is None or stat.bytes != size:
            return False
        return (stat.sha256 or sha256_of(self.target, key, size)) == sha256

    def _put(self, key: str, data: bytes) -> None:
        same = self._held(key) == data
        if not same:
            self.target.write(key, data)
        self._count("there" if same else "moved", len(data))

    def _held(self, key: str) -> bytes | None:
        try:
            return self.target.read(key)
        except (MissingInput, DataError):  # what is damaged there is replaced
            return None

    def _count(self, outcome: str, size: int) -> None:
        self._counts[outcome][0] += 1
        self._counts[outcome][1] += size
