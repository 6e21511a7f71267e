"""A Ray worker process: units of one recipe, packed here and put into the store."""

import socket
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from ten import __version__
from ten.data.encoder_choice import open_encoder
from ten.data.manifest import ShardEntry, make_entry
from ten.data.packing import Work, pack_unit
from ten.data.published import PublishedPack, shard_name
from ten.data.recipe import Recipe
from ten.data.shards import parse_shard
from ten.environment import load_environment
from ten.errors import MissingInput, SpecError, TenError
from ten.hub.address import is_hub
from ten.store.durable import write_atomically
from ten.store.opening import open_store
from ten.text.corpus import is_as_listed
from ten.text.engines import Encoder
from ten.text.units import Unit


class RayOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker must know, less the unit; it travels with every task and is small. No secrets: Ray keeps it."""

    recipe: Any
    """Ray's reference to the encoded recipe, which every node fetches once."""
    fingerprint: str
    """Of the recipe."""
    store: str
    engine: str
    batch_rows: int
    version: str
    """Of this package where the order was given."""


def pack_on_node(order: RayOrder, unit: int) -> tuple[ShardEntry, int]:
    """Pack a unit and put its shard into the store; its entry, and the bytes of text in it.

    Raises what packing and the store raise, naming this node.
    """
    try:
        if order.version != __version__:
            raise version_error(__version__, order.version)
        return _desk(order).pack(unit)
    except TenError as error:
        raise type(error)(f"{error} (on Ray node {socket.gethostname()})") from None


def see_mark(store: str, key: str) -> None:
    """Raise SpecError unless the store, as this node reaches it, has the object `key`."""
    load_environment()
    if open_store(store).stat(key) is None:
        raise SpecError(
            f"{store} is another store there: what was written from here is not in it; a folder must be one that "
            "all nodes share, a bucket's endpoint must be the same in every node's environment"
        )


def version_error(theirs: str, ours: str) -> SpecError:
    """What there is to say of a node that has another version of this package, or ("") none."""
    has = f"has ten {theirs}" if theirs else "has no ten"
    return SpecError(f"{has}, this machine {ours}; install the same version, with its extra `ray`, on every node")


class _Desk:
    """A recipe opened once for all units that this process packs."""

    def __init__(self, recipe: Recipe, order: RayOrder) -> None:
        self._recipe, self._order = recipe, order
        self._pack = PublishedPack(open_store(order.store), recipe)
        self._encoder: Encoder | None = None
        self._checked: set[int] = set()
        """Files that are what the listing says."""

    def pack(self, number: int) -> tuple[ShardEntry, int]:
        unit, work = self._recipe.units[number], Work(batch_rows=self._order.batch_rows)
        self._check_files(unit)
        if self._encoder is None:
            self._encoder, _ = open_encoder(self._recipe, unit, self._order.engine)
        return self._publish(number, pack_unit(self._recipe, unit, self._encoder, work)), work.text_bytes

    def _publish(self, unit: int, data: bytes) -> ShardEntry:
        """Put a shard into the store; it is there when this returns."""
        entry = make_entry(parse_shard(data, shard_name(unit), verify=False).header, data)
        if (path := self._pack.store.local_path(self._pack.key(unit))) is not None:
            write_atomically(path, data)
            return entry
        with TemporaryDirectory(prefix="ten-pack-") as scratch:
            path = Path(scratch, "shard")
            write_atomically(path, data)
            self._pack.send(entry, path)
        return entry

    def _check_files(self, unit: Unit) -> None:
        """Files at the same place on another machine need not be the same."""
        corpus = self._recipe.corpus
        for index in {part.file for part in unit.parts} - self._checked:
            file = corpus.files[index]
            if is_hub(file.path) or file.is_elsewhere:
                continue
            if not Path(file.path).is_file():
                raise MissingInput(
                    f"{file.path}: is not there; every node must have the dataset's files at the same path, as on a "
                    "shared folder"
                )
            if not corpus.is_pinned and not is_as_listed(file):  # of a hub's file the probe is another
                raise SpecError(f"{file.path}: is another file than the one that was listed; make them the same")
            self._checked.add(index)


@lru_cache(maxsize=1)
def _desk(order: RayOrder) -> _Desk:
    import ray

    load_environment()
    return _Desk(msgspec.msgpack.decode(ray.get(order.recipe), type=Recipe), order)
