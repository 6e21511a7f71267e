"""What a shard costs in requests: the code that packs and trains, against a stand-in of the store that counts."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.support.scale_corpus import entries, listing, recipe_for, shard_file
from ten.data.manifest import ShardEntry, make_entry, make_manifest
from ten.data.published import PublishedPack
from ten.data.recipe import Recipe
from ten.data.shards import parse_shard
from ten.store.opening import open_store
from tests.standins.s3 import S3Request, S3Stand

_UNIT = 500
"""One of the units whose shards are really made, beside the first."""


@dataclass(frozen=True)
class Operation:
    """Something that nodes do, and the requests it took."""

    name: str
    requests: tuple[S3Request, ...]

    @property
    def sizes(self) -> list[int]:
        """Bytes that each request moved."""
        return [request.sent + request.received for request in self.requests]

    @property
    def text(self) -> str:
        """The requests for people: `GET 8,388,608 B`."""
        return ", ".join(
            f"{request.method} {size:,} B" if size else request.method
            for request, size in zip(self.requests, self.sizes, strict=True)
        )


def count_requests(files: int) -> dict[str, Operation]:
    """Each operation by its name, in the order of the life of a pack of so many files."""
    with S3Stand() as stand, tempfile.TemporaryDirectory() as folder:
        os.environ |= stand.environment()
        return _operate(stand, Path(folder), recipe_for(listing(files)))


def _operate(stand: S3Stand, folder: Path, recipe: Recipe) -> dict[str, Operation]:
    pack = PublishedPack(open_store(f"{stand.new_bucket()}/scale"), recipe)
    found: dict[str, Operation] = {}

    def counted(name: str, do: Callable[[], object]) -> None:
        stand.forget()
        do()
        found[name] = Operation(name, tuple(stand.log()))

    file, copy = folder / "shard", folder / "copy"
    real: dict[int, ShardEntry] = {}
    pages: dict[str, bytes] = {}
    for unit in (0, _UNIT):
        file.write_bytes(shard_file(recipe, unit))
        real[unit] = make_entry(parse_shard(file.read_bytes(), "shard", verify=False).header, file.read_bytes())
        counted("shard pushed", partial(pack.send, real[unit], file))
    counted("shard found by a second packer", lambda: pack.entry(_UNIT))
    listed = (real.get(entry.unit, entry) for entry in entries(len(recipe.units)))
    manifest = make_manifest(recipe, listed, 1, lambda name, page: pages.setdefault(name, page))
    counted("page of the manifest published", lambda: pack.write_page(*next(iter(pages.items()))))
    counted("pack published", lambda: pack.publish(manifest))
    reader = PublishedPack(open_store(pack.address.partition("/packs/")[0]), recipe, folder / "kept")
    counted("manifest read", reader.manifest)
    counted("first rows read", lambda: reader.beginning(real[0]))
    counted("shard pulled, its manifest first", lambda: reader.fetch(0, copy))
    counted("shard pulled, the first of its page", lambda: reader.fetch(_UNIT, copy))
    reader = PublishedPack(open_store(pack.address.partition("/packs/")[0]), recipe, folder / "kept")
    reader.fetch(0, copy)  # a node's next process, which finds the page on the disk
    counted("shard pulled", lambda: reader.fetch(_UNIT, copy))
    return found
