"""Shard cache: a pack's shards in a folder in front of a store; every shard is verified before its first use."""

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path

from ten.data.manifest import Manifest, ShardEntry, encode_manifest, make_entry, parse_manifest
from ten.data.recipe import Recipe
from ten.data.shards import Shard, open_shard, parse_shard
from ten.errors import DataError, MissingInput
from ten.store.durable import write_atomically, writing
from ten.store.protocol import Store
from ten.text.pins import FILE_NAME, encode_corpus

log = logging.getLogger(__name__)

_MOST_OPEN = 32
"""Shards kept open: each holds a file descriptor, and a large pack has more shards than a process may have of these."""


class ShardCache:
    """The shards of one recipe. Where the store is a folder it is its own cache unless another folder is given."""

    def __init__(self, store: Store, recipe: Recipe, folder: Path | None = None) -> None:
        self.recipe = recipe
        self._store = store
        self._prefix = f"packs/{recipe.pack_name}"
        own = store.local_path(self._prefix)
        if own is None and folder is None:
            raise ValueError(f"{store.url} is no folder, so the shards need a cache folder")
        self.folder = folder / self._prefix if folder is not None else own or Path()
        self._write_through = self.folder != own
        self._open: dict[int, Shard] = {}
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where the pack lies, for people."""
        return f"{self._store.url}/{self._prefix}"

    def find(self, unit: int) -> Shard | None:
        """A unit's verified shard from the folder or the store, or None.

        A damaged copy in the folder is put aside and fetched again; DataError when nothing sound is left of it.
        """
        if (opened := self._open.get(unit)) is not None:
            return opened
        damage: DataError | None = None
        try:
            shard = self._open_local(unit)
        except DataError as error:
            damage, shard = error, None
            self._put_aside(unit)
        if shard is None and self._write_through:
            shard = self._fetch(unit)
        if shard is None and damage is not None:
            raise damage
        return shard

    def has(self, unit: int) -> bool:
        """Whether a unit's shard is there, sound or not."""
        return self._path(unit).is_file() or (self._write_through and self._store.stat(self._key(unit)) is not None)

    def add(self, unit: int, data: bytes) -> ShardEntry:
        """Publish a unit's shard in the folder and write it through to the store."""
        shard = parse_shard(data, self._name(unit), verify=False)
        write_atomically(self._path(unit), data)
        if self._write_through:
            self._store.write(self._key(unit), data)
        return make_entry(shard.header, data)

    def entry(self, unit: int) -> ShardEntry | None:
        """The manifest's entry for a shard that is there and sound, or None; raises what `find` raises.

        Its copy in the store is made good: the manifest must list nothing that the store lacks.
        """
        shard = self.find(unit)
        self.forget(unit)
        if shard is None:
            return None
        data = self._path(unit).read_bytes()
        if self._write_through:
            stored = self._store.stat(self._key(unit))
            if stored is None or stored.bytes != len(data):
                self._store.write(self._key(unit), data)
        return make_entry(shard.header, data)

    def manifest(self) -> Manifest | None:
        """The pack's manifest, checked against the recipe, or None while the pack is unfinished."""
        try:
            data = self._store.read(f"{self._prefix}/manifest.json")
        except MissingInput:
            return None
        return parse_manifest(data, f"{self.address}/manifest.json", self.recipe)

    def publish(self, manifest: Manifest) -> None:
        """Write the tokenizer, a hub dataset's listing and then, last, the manifest: now the pack is complete."""
        self._store.write(f"{self._prefix}/tokenizer.json", self.recipe.tokenizer.definition.encode())
        if self.recipe.corpus.is_pinned:
            self._store.write(f"{self._prefix}/{FILE_NAME}", encode_corpus(self.recipe.corpus))
        self._store.write(f"{self._prefix}/manifest.json", encode_manifest(manifest))

    def retract(self) -> None:
        """Make a pack unfinished before it is packed again."""
        self._store.delete(f"{self._prefix}/manifest.json")

    def forget(self, unit: int) -> None:
        """Close a shard that is no longer read."""
        with self._lock:
            self._open.pop(unit, None)

    @property
    def is_kept(self) -> bool:
        """Whether the folder is the store and its pack is finished: somebody made it to last."""
        return not self._write_through and self._store.stat(f"{self._prefix}/manifest.json") is not None

    def present(self) -> dict[int, int]:
        """Bytes of each unit's shard in the folder."""
        return shard_sizes(self.folder)

    def size(self, unit: int) -> int | None:
        """Bytes of one shard in the folder; None when it is not there."""
        try:
            return self._path(unit).stat().st_size
        except FileNotFoundError:
            return None

    def evict(self, unit: int) -> None:
        """Close a shard and delete it from the folder; a store behind the folder keeps its copy."""
        self.forget(unit)
        with writing(self._path(unit)):
            self._path(unit).unlink(missing_ok=True)

    def forget_evicted(self) -> None:
        """Close the shards that another process evicted: the disk is free of one only when nobody has it open."""
        with self._lock:
            for unit in [unit for unit in self._open if self.size(unit) is None]:
                del self._open[unit]

    def _open_local(self, unit: int) -> Shard | None:
        try:
            shard = open_shard(self._path(unit))
        except FileNotFoundError:
            return None
        self._check(shard, unit)
        with self._lock:
            self._open[unit] = shard
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]
        return shard

    def _check(self, shard: Shard, unit: int) -> None:
        header = shard.header
        if (header.fingerprint, header.unit) != (self.recipe.fingerprint, unit):
            raise DataError(
                f"{self._path(unit)}: holds unit {header.unit} of pack {header.fingerprint[:12]}, not unit {unit} of "
                f"{self.recipe.fingerprint[:12]}; `ten pack` with the same settings makes it anew"
            )

    def _fetch(self, unit: int) -> Shard | None:
        if self._store.stat(self._key(unit)) is None:
            return None
        data = self._store.read(self._key(unit))
        self._check(parse_shard(data, f"{self._store.url}/{self._key(unit)}"), unit)
        write_atomically(self._path(unit), data)
        return self._open_local(unit)

    def _put_aside(self, unit: int) -> None:
        """Keep a damaged shard for whoever wants to know why, out of every reader's way."""
        aside = self.folder / "damaged" / f"{unit:05d}-{time.time_ns()}.safetensors"
        with writing(aside), suppress(FileNotFoundError):  # another process that found it damaged was faster
            aside.parent.mkdir(parents=True, exist_ok=True)
            self._path(unit).replace(aside)
        log.warning("%s is damaged and put aside as %s", self._path(unit), aside)

    def _name(self, unit: int) -> str:
        return f"shards/{unit:05d}.safetensors"

    def _path(self, unit: int) -> Path:
        return self.folder / self._name(unit)

    def _key(self, unit: int) -> str:
        return f"{self._prefix}/{self._name(unit)}"


def shard_sizes(folder: Path) -> dict[int, int]:
    """Bytes of each unit's shard in a pack's folder."""
    sizes: dict[int, int] = {}
    for path in folder.glob("shards/*.safetensors"):
        if path.stem.isdigit():
            with suppress(FileNotFoundError):  # evicted meanwhile
                sizes[int(path.stem)] = path.stat().st_size
    return sizes
