"""A pack as it lies in its store: shards, what is said of each, and the manifest, written last."""

import hashlib
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from ten.data.entries import Entries
from ten.data.manifest import Manifest, ShardEntry, encode_manifest, make_entry, parse_manifest
from ten.data.recipe import Recipe
from ten.data.shards import Beginning, parse_beginning, parse_shard
from ten.errors import DataError, MissingInput
from ten.store.protocol import Store
from ten.text.pins import FILE_NAME, encode_corpus

_LOOK_S = 30.0


class Packing(msgspec.Struct, frozen=True, kw_only=True):
    """packing.json: what whoever packs says of it before the manifest is there, and of the work when it is done."""

    epoch_tokens: int
    """As the manifest will say it."""
    units: int
    started: datetime
    text_bytes: int = 0
    """UTF-8 text that was tokenized; 0 until the pack is finished."""
    seconds: float = 0.0
    """What making the shards took, from start to end; 0 likewise."""


class PublishedPack:
    """One recipe's pack in a store. Nothing here keeps a shard on this disk."""

    def __init__(self, store: Store, recipe: Recipe, keep: Path | None = None) -> None:
        """`keep`: a folder for what is read of a large pack's manifest."""
        self.store = store
        self._recipe, self._keep = recipe, keep
        self._prefix = f"packs/{recipe.pack_name}"
        self._entries: Entries | None = None
        self._looked_at = float("-inf")

    @property
    def address(self) -> str:
        """Where the pack lies, for people."""
        return f"{self.store.url}/{self._prefix}"

    @property
    def folder(self) -> Path | None:
        """The folder that it is, where the store is one."""
        return self.store.local_path(self._prefix)

    def manifest(self) -> Manifest | None:
        """The pack's manifest, checked against the recipe, or None while the pack is unfinished."""
        try:
            data = self.store.read(f"{self._prefix}/manifest.json")
        except MissingInput:
            return None
        return parse_manifest(data, f"{self.address}/manifest.json", self._recipe)

    @property
    def is_listed(self) -> bool:
        """Whether a manifest was found that says what `fetch` must bring."""
        return self._entries is not None

    def entries(self, manifest: Manifest) -> Entries:
        """What a manifest of this pack says of each shard."""
        return Entries(manifest, self._read, self.address, self._keep)

    def has_manifest(self) -> bool:
        """Whether the pack is finished, at the price of asking once."""
        return self.store.stat(f"{self._prefix}/manifest.json") is not None

    def write_page(self, name: str, data: bytes) -> None:
        """Keep a page of the manifest to come (`make_manifest`)."""
        self.store.write(f"{self._prefix}/{name}", data)

    def mend_page(self, name: str, data: bytes) -> None:
        """Write a page of a finished pack's manifest where it is lost or damaged."""
        try:
            is_sound = self._read(name) == data
        except (MissingInput, DataError):
            is_sound = False
        if not is_sound:
            self.write_page(name, data)

    def publish(self, manifest: Manifest) -> None:
        """Write the tokenizer, a hub dataset's listing and then, last, the manifest: now the pack is complete."""
        self.store.write(f"{self._prefix}/tokenizer.json", self._recipe.tokenizer.definition.encode())
        if self._recipe.corpus.is_pinned:
            self.store.write(f"{self._prefix}/{FILE_NAME}", encode_corpus(self._recipe.corpus))
        self.store.write(f"{self._prefix}/manifest.json", encode_manifest(manifest))

    def retract(self) -> None:
        """Make the pack unfinished before it is packed again."""
        self._entries = None
        self.store.delete(f"{self._prefix}/manifest.json")

    def packing(self) -> Packing | None:
        """What was said when packing began; None where nobody has begun, or the note cannot be read."""
        try:
            return msgspec.json.decode(self.store.read(f"{self._prefix}/packing.json"), type=Packing)
        except (MissingInput, ValueError, RecursionError):
            return None

    def announce(self, packing: Packing) -> None:
        """Say that the pack is being made, or what making it took."""
        self.store.write(f"{self._prefix}/packing.json", msgspec.json.encode(packing))

    def has(self, unit: int) -> bool:
        """Whether the store has a unit's shard, sound or not."""
        return self.store.stat(self.key(unit)) is not None

    def entry(self, unit: int) -> ShardEntry | None:
        """What the store says of a shard that it has, or None; the shard is read only where the store keeps no notes.

        Raises DataError when that shard is damaged.
        """
        stat = self.store.stat(self.key(unit))
        if stat is None:
            return None
        if stat.about:
            try:
                entry = msgspec.json.decode(stat.about, type=ShardEntry)
            except msgspec.DecodeError:  # of another version, or somebody else's: the shard speaks for itself
                entry = None
            if entry is not None and (entry.unit, entry.bytes, entry.sha256) == (unit, stat.bytes, stat.sha256):
                return entry
        data = self.store.read(self.key(unit))
        return make_entry(parse_shard(data, self._name(unit)).header, data)

    def fetch(self, unit: int, path: Path, advance: Callable[[int], object] | None = None) -> bool:
        """Copy a shard into a file; False where the store has none. DataError when its bytes are not what they must be.

        They must be what the manifest says, or without one what the shard's writer noted.
        """
        entries = self._listed()
        sha256 = entries.entry(unit).sha256 if entries else None
        try:
            self.store.fetch(self.key(unit), path, sha256=sha256, advance=advance)
        except MissingInput:
            return False
        return True

    def beginning(self, entry: ShardEntry) -> Beginning:
        """The first tokens of a shard, by one ranged read. Raises DataError when they are not those of the entry."""
        data = self.store.read_range(self.key(entry.unit), 0, entry.head_bytes)
        if hashlib.sha256(data).hexdigest() != entry.head_sha256:
            raise DataError(f"{self._name(entry.unit)}: its first {len(data)} bytes are not those in the manifest")
        return parse_beginning(data, self._name(entry.unit))

    def send(self, entry: ShardEntry, path: Path) -> None:
        """Put a shard's file into the store, with what there is to say of it."""
        about = msgspec.json.encode(entry).decode()
        self.store.send(self.key(entry.unit), path, sha256=entry.sha256, about=about)

    def key(self, unit: int) -> str:
        """The object that is a unit's shard."""
        return f"{self._prefix}/{shard_name(unit)}"

    def _name(self, unit: int) -> str:
        return f"{self.store.url}/{self.key(unit)}"

    def _read(self, name: str) -> bytes:
        return self.store.read(f"{self._prefix}/{name}")

    def _listed(self) -> Entries | None:
        """The finished pack's entries; while it is unfinished that is asked again only now and then."""
        if self._entries is None and time.monotonic() - self._looked_at > _LOOK_S:
            self._looked_at = time.monotonic()
            manifest = self.manifest()
            self._entries = self.entries(manifest) if manifest else None
        return self._entries


def shard_name(unit: int) -> str:
    """Where a pack has a unit's shard."""
    return f"shards/{unit:05d}.safetensors"
