"""Shard cache: a pack's shards in a folder in front of a store; every shard is verified before its first use."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ten.data.manifest import Manifest, ShardEntry, make_entry
from ten.data.published import PublishedPack, shard_name
from ten.data.recipe import Recipe
from ten.data.shards import Shard, open_shard, parse_shard
from ten.data.uploads import Uploads
from ten.errors import DataError
from ten.store.durable import write_atomically, writing
from ten.store.protocol import Store

log = logging.getLogger(__name__)

_MOST_OPEN = 32
"""Shards kept open: each holds a file descriptor, and a large pack has more shards than a process may have of these."""


class ShardCache:
    """The shards of one recipe. Where the store is a folder it is its own cache unless another folder is given."""

    def __init__(self, store: Store, recipe: Recipe, folder: Path | None = None) -> None:
        self.recipe = recipe
        self.pack = PublishedPack(store, recipe, None if folder is None else folder / "packs" / recipe.pack_name)
        own = self.pack.folder
        if own is None and folder is None:
            raise ValueError(f"{store.url} is no folder, so the shards need a cache folder")
        self.folder = folder / "packs" / recipe.pack_name if folder is not None else own or Path()
        self._open: dict[int, Shard] = {}
        self._lock = threading.Lock()
        self.uploads = Uploads(self.pack, self.path) if self.folder != own else None
        """What is on its way to a store behind the folder; None where the folder is the store."""

    @property
    def address(self) -> str:
        """Where the pack lies, for people."""
        return self.pack.address

    def find(self, unit: int, advance: Callable[[int], object] | None = None) -> Shard | None:
        """A unit's verified shard from the folder or the store, or None; `advance` hears of bytes as they come.

        A damaged copy in the folder is put aside and fetched again, one that came damaged is fetched once more;
        DataError when nothing sound is left of it.
        """
        try:
            shard = self.find_here(unit)
        except DataError:
            if self.uploads is None:
                raise
            if (shard := self._fetch(unit, advance)) is None:
                raise
            return shard
        return shard if shard is not None or self.uploads is None else self._fetch(unit, advance)

    def find_here(self, unit: int) -> Shard | None:
        """A unit's verified shard from the folder, or None; the store is not asked.

        DataError for a damaged copy, which is put aside.
        """
        if (opened := self._open.get(unit)) is not None:
            return opened
        try:
            return self._open_local(unit)
        except DataError:
            self._put_aside(unit)
            raise

    def has(self, unit: int) -> bool:
        """Whether a unit's shard is there, sound or not."""
        return self.path(unit).is_file() or (self.uploads is not None and self.pack.has(unit))

    def add(self, unit: int, data: bytes) -> ShardEntry:
        """Publish a unit's shard in the folder; a store behind it is sent a copy in the background."""
        shard = parse_shard(data, shard_name(unit), verify=False)
        write_atomically(self.path(unit), data)
        entry = make_entry(shard.header, data)
        if self.uploads is not None:
            self.uploads.put(entry)
        return entry

    def entry(self, unit: int) -> ShardEntry | None:
        """The manifest's entry for a shard that is there and sound, or None; raises what `find_here` raises.

        A store behind the folder is sent what it lacks: the manifest must list nothing that is not there.
        """
        stored = self.pack.entry(unit) if self.uploads is not None else None
        if (entry := self._own_entry(unit)) is None:
            return stored
        if self.uploads is not None:
            self.uploads.put(entry) if stored != entry else self.uploads.sent.add(unit)
        return entry

    def manifest(self) -> Manifest | None:
        """The pack's manifest, checked against the recipe, or None while the pack is unfinished."""
        return self.pack.manifest()

    def lost(self, units: Iterable[int]) -> list[int]:
        """Those of the units that were made and are gone before they were where they belong."""
        if self.uploads is None:
            return [unit for unit in units if not self.path(unit).is_file()]
        lost, self.uploads.lost = self.uploads.lost, set()
        return sorted(lost)

    def forget(self, unit: int) -> None:
        """Close a shard that is no longer read."""
        with self._lock:
            self._open.pop(unit, None)

    @property
    def is_kept(self) -> bool:
        """Whether the folder is the store and its pack is finished: somebody made it to last."""
        return self.uploads is None and self.pack.has_manifest()

    def present(self) -> dict[int, int]:
        """Bytes of each unit's shard in the folder."""
        return shard_sizes(self.folder)

    def size(self, unit: int) -> int | None:
        """Bytes of one shard in the folder; None when it is not there."""
        try:
            return self.path(unit).stat().st_size
        except FileNotFoundError:
            return None

    def evict(self, unit: int) -> None:
        """Close a shard and delete it from the folder; a store behind the folder keeps its copy."""
        self.forget(unit)
        with writing(self.path(unit)):
            self.path(unit).unlink(missing_ok=True)

    def forget_evicted(self) -> None:
        """Close the shards that another process evicted: the disk is free of one only when nobody has it open."""
        with self._lock:
            for unit in [unit for unit in self._open if self.size(unit) is None]:
                del self._open[unit]

    def _open_local(self, unit: int, *, verify: bool = True) -> Shard | None:
        try:
            shard = open_shard(self.path(unit), verify=verify)
        except FileNotFoundError:
            return None
        self._check(shard, unit)
        with self._lock:
            self._open[unit] = shard
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]
        return shard

    def _own_entry(self, unit: int) -> ShardEntry | None:
        """The entry of a shard in the folder."""
        shard = self.find_here(unit)
        self.forget(unit)
        with suppress(FileNotFoundError):  # a job that shares the folder evicted it meanwhile
            return None if shard is None else make_entry(shard.header, self.path(unit).read_bytes())
        return None

    def _check(self, shard: Shard, unit: int) -> None:
        header = shard.header
        if (header.fingerprint, header.unit) != (self.recipe.fingerprint, unit):
            raise DataError(
                f"{self.path(unit)}: holds unit {header.unit} of pack {header.fingerprint[:12]}, not unit {unit} of "
                f"{self.recipe.fingerprint[:12]}; `ten pack` with the same settings makes it anew"
            )

    def _fetch(self, unit: int, advance: Callable[[int], object] | None) -> Shard | None:
        """The shard from the store; None where it has none, DataError when it comes damaged twice."""
        for is_last in (False, True):
            is_known = self.pack.is_listed  # then what comes has been hashed on its way
            try:
                if not self.pack.fetch(unit, self.path(unit), advance):
                    return None
                return self._open_local(unit, verify=not is_known)
            except DataError as error:
                self._put_aside(unit)
                if is_last:
                    raise
                log.warning("%s; it is fetched once more", error)
        return None

    def _put_aside(self, unit: int) -> None:
        """Keep a damaged shard for whoever wants to know why, out of every reader's way."""
        aside = self.folder / "damaged" / f"{unit:05d}-{time.time_ns()}.safetensors"
        with writing(aside), suppress(FileNotFoundError):  # another process that found it damaged was faster
            aside.parent.mkdir(parents=True, exist_ok=True)
            self.path(unit).replace(aside)
            log.warning("%s is damaged and put aside as %s", self.path(unit), aside)

    def path(self, unit: int) -> Path:
        """The file of a unit's shard, whether it is there or not."""
        return self.folder / shard_name(unit)


def shard_sizes(folder: Path) -> dict[int, int]:
    """Bytes of each unit's shard in a pack's folder."""
    sizes: dict[int, int] = {}
    for path in folder.glob("shards/*.safetensors"):
        if path.stem.isdigit():
            with suppress(FileNotFoundError):  # evicted meanwhile
                sizes[int(path.stem)] = path.stat().st_size
    return sizes
