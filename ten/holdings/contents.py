"""Contents: which objects a pack or run consists of, and what each must be."""

import hashlib
import re
from collections.abc import Iterator

import msgspec

from ten.data.entries import Entries
from ten.data.manifest import Manifest, PageEntry, ShardEntry, make_entry, page_name, parse_manifest
from ten.data.shards import open_shard, parse_shard
from ten.errors import DataError, MissingInput
from ten.holdings.naming import Holding
from ten.store.protocol import Store
from ten.text.pins import decode_corpus
from ten.train.checkpoint_files import SEAL, Seal, decode_seal
from ten.train.run_record import decode_run

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
CORPUS = "corpus.json"
PACK_CURE = "`ten pack` with the same settings makes it anew"
RECORD = "run.json"
RECORDS = (RECORD, TOKENIZER, CORPUS, "metrics.jsonl")
"""What is beside a run's checkpoints."""
_SHARD = re.compile(r"(\d{5,})\.safetensors")
_FINGERPRINT = re.compile(r"-([0-9a-f]{12})$")
_CHECKPOINT = re.compile(r"step-\d{8,}")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An object as its pack's manifest or its checkpoint's COMPLETE lists it."""

    name: str
    """Below its pack or run."""
    bytes: int
    sha256: str | None = None
    """Of all of it; None for a shard of an unfinished pack, which says itself what it must be."""
    about: str = ""
    """What its writer noted of it."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that was completed, as its COMPLETE lists it."""

    name: str
    """Below its run."""
    seal: Seal

    @property
    def seal_name(self) -> str:
        """COMPLETE."""
        return f"{self.name}/{SEAL}"

    @property
    def items(self) -> list[Item]:
        """Its other files."""
        files = sorted(self.seal.files.items())
        return [Item(name=f"{self.name}/{name}", bytes=file.bytes, sha256=file.sha256) for name, file in files]


def read_manifest(store: Store, pack: Holding) -> Manifest | None:
    """A pack's manifest, or None while it is unfinished. Raises DataError when it is damaged."""
    try:
        data = store.read(pack.key(MANIFEST))
    except MissingInput:
        return None
    return parse_manifest(data, place(store, pack, MANIFEST))


def read_small(store: Store, holding: Holding, name: str) -> bytes:
    """A manifest, COMPLETE, run.json, tokenizer or corpus. Raises DataError when it is not what it must be."""
    data, where = store.read(holding.key(name)), place(store, holding, name)
    if name.endswith(SEAL):
        read_checkpoint(store, holding, name.rpartition("/")[0])
    elif name == MANIFEST:
        _require_own(holding, parse_manifest(data, where).fingerprint, where)
    elif name == CORPUS:
        decode_corpus(data, where)
    elif name == RECORD:
        decode_run(data, where)
    elif name == TOKENIZER and holding.kind == "pack" and (manifest := read_manifest(store, holding)) is not None:
        require_tokenizer(manifest, data, where)
    return data


def require_tokenizer(manifest: Manifest, data: bytes, name: str) -> None:
    """Raise DataError where a definition is not the one that the manifest's fingerprint is of (ten/text/tokens.py)."""
    digest = hashlib.sha256(data + f"\n{manifest.end_of_document}".encode()).hexdigest()
    if digest != manifest.tokenizer_fingerprint:
        raise DataError(f"{name}: not the tokenizer of {manifest.tokenizer_fingerprint[:12]}; {PACK_CURE}")


def page_items(manifest: Manifest) -> list[Item]:
    """The pages of a large pack's manifest."""
    return [page_item(number, page) for number, page in enumerate(manifest.pages)]


def page_item(number: int, page: PageEntry) -> Item:
    """A page as the manifest lists it."""
    return Item(name=page_name(number), bytes=page.bytes, sha256=page.sha256)


def shard_items(store: Store, pack: Holding, manifest: Manifest) -> Iterator[Item]:
    """The shards that a manifest lists. Raises DataError and MissingInput for a page that is damaged or not there."""
    entries = Entries(manifest, lambda name: store.read(pack.key(name)), f"{store.url}/{pack.prefix}".rstrip("/"))
    return map(shard_item, entries)


def shard_item(entry: ShardEntry) -> Item:
    """A shard as the manifest lists it."""
    name, about = f"shards/{entry.unit:05d}.safetensors", msgspec.json.encode(entry).decode()
    return Item(name=name, bytes=entry.bytes, sha256=entry.sha256, about=about)


def unlisted_shards(store: Store, pack: Holding) -> list[Item]:
    """The shards that are there, of a pack without a manifest."""
    prefix = pack.key("shards/")
    found = ((stat, stat.key.removeprefix(prefix)) for stat in store.list(prefix))
    return [Item(name=f"shards/{name}", bytes=stat.bytes) for stat, name in found if _SHARD.fullmatch(name)]


def sound_entry(store: Store, pack: Holding, item: Item) -> ShardEntry:
    """What the manifest will say of a shard, found by reading all of it.

    Raises DataError when it does not have the hash that it names, or is another pack's or unit's; MissingInput when it
    is not there.
    """
    path, where = store.local_path(pack.key(item.name)), place(store, pack, item.name)
    try:
        header = open_shard(path).header if path else None
        data = path.read_bytes() if path else store.read(pack.key(item.name))
    except FileNotFoundError:
        raise MissingInput(f"{where}: no such object in the store") from None
    header = header or parse_shard(data, where).header
    _require_own(pack, header.fingerprint, where)
    if item.name != f"shards/{header.unit:05d}.safetensors":
        raise DataError(f"{where}: holds unit {header.unit}; {PACK_CURE}")
    return make_entry(header, data)


def find_checkpoints(store: Store, run: Holding) -> list[str]:
    """Names, below the run, of the checkpoints that were completed, oldest first."""
    names = [name for name in store.children(run.key("checkpoints")) if _CHECKPOINT.fullmatch(name)]
    folders = [f"checkpoints/{name}" for name in sorted(names, key=lambda name: int(name.removeprefix("step-")))]
    return [folder for folder in folders if store.stat(run.key(f"{folder}/{SEAL}")) is not None]


def read_checkpoint(store: Store, run: Holding, name: str) -> Checkpoint:
    """A completed checkpoint. Raises DataError when its COMPLETE is damaged, or that of another step."""
    where = place(store, run, f"{name}/{SEAL}")
    seal = decode_seal(store.read(run.key(f"{name}/{SEAL}")), where)
    if seal.step != step_of(name):
        raise DataError(f"{where}: is that of step {seal.step}")
    return Checkpoint(name=name, seal=seal)


def step_of(name: str) -> int:
    """100 for checkpoints/step-00000100."""
    return int(name.rpartition("-")[2])


def _require_own(pack: Holding, fingerprint: str, where: str) -> None:
    named = _FINGERPRINT.search(pack.name)
    if named is not None and not fingerprint.startswith(named[1]):
        raise DataError(f"{where}: belongs to pack {fingerprint[:12]}, not to {named[1]}; {PACK_CURE}")


def place(store: Store, holding: Holding, name: str) -> str:
    """Where an object is, for people."""
    key = holding.key(name)
    return str(store.local_path(key) or f"{store.url.rstrip('/')}/{key}")
