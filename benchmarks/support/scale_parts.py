"""Time and memory of each part of the data path on a recipe of many units, by the code that trains."""

import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from benchmarks.support.scale_corpus import SHARD_BYTES, entries
from ten.data.cache import ShardCache
from ten.data.cursor import Cursor
from ten.data.entries import Entries
from ten.data.fill import Fill
from ten.data.manifest import encode_manifest, make_manifest, parse_manifest
from ten.data.order import ERA_UNITS, era_units, row_order
from ten.data.packer_messages import PackerOrder
from ten.data.reader import Row, read_rows
from ten.data.recipe import Recipe
from ten.data.room import Room
from ten.data.shards import Shard, parse_shard
from ten.store.memory import MemoryStore

T = TypeVar("T")
SEQ_LEN = 32_768
ROWS_AT_A_TIME = 1024


class Cost(NamedTuple):
    """What one part took."""

    part: str
    seconds: float
    """CPU time, which other work on the machine hardly changes; of one call, where it was called many times."""
    peak: int
    """Bytes of resident memory at its highest above what there was before."""
    note: str = ""


def measured(part: str, do: Callable[[], T], times: int = 1) -> tuple[T, Cost]:
    """A call's result and what it took."""
    before = _restart_peak()
    began = time.process_time()
    result = do()
    seconds = (time.process_time() - began) / times
    return result, Cost(part, seconds, max(0, _status("VmHWM") - before))


def _restart_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")  # man 5 proc: the peak begins anew
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def manifest_costs(recipe: Recipe) -> list[Cost]:
    """Making a manifest, opening it, and asking it for shards as training does."""
    store, units = MemoryStore(), len(recipe.units)

    def use() -> Entries:
        opened = Entries(parse_manifest(store.read("manifest.json"), "manifest.json", recipe), store.read)
        opened.entry(0)
        opened.entry(units - 1)
        return opened

    manifest, made = measured("manifest made, page by page", lambda: make_manifest(recipe, entries(units), 1))
    store.write("manifest.json", encode_manifest(make_manifest(recipe, entries(units), 1, store.write)))
    size, page = len(store.read("manifest.json")), max((page.bytes for page in manifest.pages), default=0)
    made = made._replace(note=f"{size:,} B and {len(manifest.pages)} pages of at most {page:,} B")
    opened, used = measured("manifest opened, two shards looked up", use)
    chosen = [random.randrange(units) for _ in range(500)]
    _, looked = measured("a random shard looked up", lambda: [opened.entry(unit) for unit in chosen], len(chosen))
    return [made, used._replace(note="target: < 2 s"), looked._replace(note="16 pages kept")]


def order_costs(units: int) -> list[Cost]:
    """Which units an era has and how its rows lie, at random places."""
    eras = [(random.randrange(5), random.randrange(units // ERA_UNITS)) for _ in range(500)]
    _, era = measured("units of a random era", lambda: [era_units(7, *place, units) for place in eras], len(eras))
    rows = ERA_UNITS * 2**24 // 2048
    block = np.arange(ROWS_AT_A_TIME, dtype=np.int64)
    _, row = measured(
        f"{ROWS_AT_A_TIME} places in the order of an era of {rows:,} rows",
        lambda: [row_order(7, *place, rows)(block) for place in eras],
        len(eras),
    )
    return [era, row]


class AlikeShards:
    """A fill policy for which all shards are one."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def want(self, units: Sequence[int]) -> None:
        """They are there."""

    def shard(self, unit: int) -> Shard:
        """The one."""
        return self._shard

    def tokens_from(self, unit: int, tokens: int) -> None:
        """It is whole."""

    def passed(self, cursor: Cursor) -> None:
        """It stays."""

    def supply(self) -> None:
        """It was free."""

    def holdup(self) -> str:
        """Nothing is waited for."""
        return ""

    def close(self) -> None:
        """Nothing to let go of."""


def _next_row(recipe: Recipe, fill: Fill, cursor: Cursor) -> Row:
    return next(read_rows(recipe, fill, cursor))


def reading_costs(recipe: Recipe, shard_bytes: bytes) -> list[Cost]:
    """From a cursor to its next row, early and late; and how fast a rank passes over rows, its own and others'."""
    fill = AlikeShards(parse_shard(shard_bytes, "shard", verify=False))
    last_era = recipe.training_units // ERA_UNITS - 1
    found = []
    for name, epoch, era in (("first", 1, 0), ("last", 1, last_era)):
        cursor = Cursor(fingerprint=recipe.fingerprint, seed=7, seq_len=SEQ_LEN, epoch=epoch, era=era, row_in_era=99)
        _, cost = measured(f"cursor in the {name} era → next row", partial(_next_row, recipe, fill, cursor))
        found.append(cost._replace(note=f"a cursor is {len(msgspec.json.encode(cursor))} B"))
    rows, count = read_rows(recipe, fill, cursor), 20_000
    _, cost = measured("a row passed over", lambda: [next(rows) for _ in range(count)] and None, count)
    return [*found, cost]


def room_costs(recipe: Recipe, present: int = 512) -> list[Cost]:
    """The bookkeeping of a small disk in front of the store, with some shards on it (sparse files)."""
    with tempfile.TemporaryDirectory() as name:
        cache = ShardCache(MemoryStore(), recipe, Path(name))
        cache.path(0).parent.mkdir(parents=True)
        for unit in range(present):
            with cache.path(unit).open("wb") as file:
                file.truncate(SHARD_BYTES)
        _, seen = measured("a shard's file seen in the folder", cache.present, present)
        room, opened = measured(f"room on a disk with {present} shards", lambda: Room(cache, present * SHARD_BYTES))
        step = 64 * SEQ_LEN
        at = Cursor(fingerprint=recipe.fingerprint, seed=7, seq_len=SEQ_LEN, epoch=1)

        def train() -> None:
            for era in range(100):
                room.passed(msgspec.structs.replace(at, era=era, tokens=at.tokens + era * step))
                room.admit(era_units(7, 1, era + 1, recipe.training_units))

        _, passed = measured("an era passed in the room", train, 100)
    return [seen, opened, passed]


def packing_costs(recipe: Recipe, shard_bytes: bytes) -> list[Cost]:
    """What whoever packs everything keeps of it, and what a shard's hash costs whoever reads it."""
    units = len(recipe.units)
    _, kept = measured("entries of all shards, as `ten pack` keeps them", lambda: {e.unit: e for e in entries(units)})
    _, hashed = measured("a shard hashed", lambda: hashlib.sha256(shard_bytes))
    return [kept, hashed]


def order_to_packer(recipe: Recipe) -> Cost:
    """The recipe on its way to the packer process."""
    order, note = PackerOrder(recipe=recipe, store="memory:"), ""

    def send() -> None:
        nonlocal note
        line = msgspec.json.encode(order)
        msgspec.json.decode(line, type=PackerOrder)
        note = f"{len(line) / 1e6:.0f} MB through a pipe"

    _, cost = measured("order encoded, and decoded by the packer process", send)
    return cost._replace(note=note)
