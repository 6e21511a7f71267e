"""What a shard costs in requests: the code that packs and trains, against a stand-in of the store that counts."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.support.scale_corpus import entries, listing, recipe_for, shard_file
from ten.data.manifest import make_entry, make_manifest
from ten.data.published import PublishedPack
from ten.data.shards import parse_shard
from ten.store.opening import open_store
from tests.standins.s3 import S3Request, S3Stand

_FILES = 60
"""Enough for more units than a page has."""
_UNIT = 1500
"""One whose entry is in a page."""


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


def count_requests() -> dict[str, Operation]:
    """Each operation by its name, in the order of a pack's life."""
    with S3Stand() as stand, tempfile.TemporaryDirectory() as folder:
        os.environ |= stand.environment()
        return _operate(stand, Path(folder))


def _operate(stand: S3Stand, folder: Path) -> dict[str, Operation]:
    recipe = recipe_for(listing(_FILES))
    pack = PublishedPack(open_store(f"{stand.new_bucket()}/scale"), recipe)
    found: dict[str, Operation] = {}

    def counted(name: str, do: Callable[[], object]) -> None:
        stand.forget()
        do()
        found[name] = Operation(name, tuple(stand.log()))

    file, copy = folder / "shard", folder / "copy"
    real = {}
    for unit in (0, _UNIT):
        file.write_bytes(shard_file(recipe, unit))
        real[unit] = make_entry(parse_shard(file.read_bytes(), "shard", verify=False).header, file.read_bytes())
        counted("shard pushed", lambda unit=unit: pack.send(real[unit], file))
    counted("shard found by a second packer", lambda: pack.entry(_UNIT))
    manifest = make_manifest(recipe, (real.get(e.unit, e) for e in entries(len(recipe.units))), 1, pack.write_page)
    counted("pack published", lambda: pack.publish(manifest))
    reader = PublishedPack(open_store(pack.address.partition("/packs/")[0]), recipe)
    counted("manifest read", reader.manifest)
    counted("first rows read", lambda: reader.beginning(msgspec.structs.replace(real[0])))
    counted("shard pulled, its manifest first", lambda: reader.fetch(0, copy))
    counted("shard pulled", lambda: reader.fetch(_UNIT, copy))
    return found
