"""Shards on their way to the store: nobody waits for them, none is forgotten, none is in the manifest too soon."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.data.manifest import ShardEntry
from ten.data.pack import pack_all
from ten.data.pack_room import PackRoom
from ten.data.recipe import Recipe
from ten.data.shards import Shard
from ten.data.uploads import Uploads
from ten.errors import ServiceUnavailable
from ten.store.memory import MemoryStore
from tests.data.small import pack_into, wait_until


class SlowStore(MemoryStore):
    """A store whose shards arrive when the gate is open, and which may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.is_away = False
        self.sent: list[str] = []

    def send(
        self, key: str, path: Path, *, sha256: str, about: str = "", advance: Callable[[int], object] | None = None
    ) -> None:
        self.gate.wait()
        if self.is_away:
            raise ServiceUnavailable("memory: is away")
        super().send(key, path, sha256=sha256, about=about, advance=advance)
        self.sent.append(key)


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def front(store: SlowStore, recipe: Recipe, tmp_path: Path) -> ShardCache:
    return ShardCache(store, recipe, tmp_path / "front")


def shard_keys(store: MemoryStore) -> set[str]:
    return {stat.key for stat in store.list() if "/shards/" in stat.key}


def test_a_shard_can_be_read_before_it_is_in_the_store(packed: ShardCache, front: ShardCache, store: SlowStore) -> None:
    store.gate.clear()
    front.add(2, packed.path(2).read_bytes())
    assert front.find(2) is not None
    assert shard_keys(store) == set()
    store.gate.set()
    assert front.uploads is not None
    front.uploads.drain()
    assert shard_keys(store) == {front.pack.key(2)}


def test_the_manifest_waits_for_every_shard(front: ShardCache, store: SlowStore) -> None:
    store.gate.clear()
    packer = threading.Thread(target=pack_into, args=(front,))
    packer.start()
    wait_until(lambda: len(front.present()) == len(front.recipe.units))
    assert front.manifest() is None
    store.gate.set()
    packer.join(60)
    assert front.manifest() is not None
    assert len(shard_keys(store)) == len(front.recipe.units)


def test_a_store_that_is_away_fails_the_pack_and_the_next_one_sends_what_is_missing(
    front: ShardCache, store: SlowStore
) -> None:
    store.is_away = True
    with pytest.raises(ServiceUnavailable, match="is away"):
        pack_into(front)
    assert front.manifest() is None
    assert len(front.present()) == len(front.recipe.units)
    store.is_away = False
    again = ShardCache(store, front.recipe, front.folder.parents[1])
    assert pack_into(again).packed == 0
    assert again.manifest() is not None
    assert len(store.sent) == len(front.recipe.units)


def test_a_rerun_sends_and_makes_only_what_is_missing(
    front: ShardCache, store: SlowStore, recipe: Recipe, tmp_path: Path
) -> None:
    pack_into(front)
    whole = {stat.key: store.read(stat.key) for stat in store.list()}
    for unit in (1, 4):
        store.delete(front.pack.key(unit))
    front.evict(4)
    store.sent.clear()
    assert pack_into(ShardCache(store, recipe, tmp_path / "front")).packed == 1
    assert sorted(store.sent) == [front.pack.key(1), front.pack.key(4)]
    after = {stat.key: store.read(stat.key) for stat in store.list()}
    assert {key for key in whole if after[key] != whole[key]} <= {f"packs/{recipe.pack_name}/packing.json"}


def test_another_machine_neither_makes_nor_fetches_what_is_there(
    front: ShardCache, store: SlowStore, recipe: Recipe, tmp_path: Path
) -> None:
    pack_into(front)
    store.sent.clear()
    other = ShardCache(store, recipe, tmp_path / "other")
    packed = pack_into(other)
    assert packed.packed == 0 and store.sent == [] and other.present() == {}


def test_two_packers_of_one_pack_are_harmless(store: SlowStore, recipe: Recipe, tmp_path: Path) -> None:
    store.gate.clear()
    caches = [ShardCache(store, recipe, tmp_path / name) for name in ("a", "b")]
    packers = [threading.Thread(target=pack_into, args=(cache,)) for cache in caches]
    for packer in packers:
        packer.start()
    wait_until(lambda: all(len(cache.present()) == len(recipe.units) for cache in caches))
    store.gate.set()
    for packer in packers:
        packer.join(60)
    manifest = caches[0].manifest()
    assert manifest is not None
    for entry in caches[0].pack.entries(manifest):
        stat = store.stat(caches[0].pack.key(entry.unit))
        assert stat is not None and stat.sha256 == entry.sha256


def test_a_pack_larger_than_the_disk_makes_way_for_itself(
    front: ShardCache, store: SlowStore, packed: ShardCache
) -> None:
    sizes = packed.present()
    limit = 3 * max(sizes.values())
    assert limit < sum(sizes.values()) / 2
    pack_all(front, engine="tokenizers", threads=1, limit=limit)
    assert sum(front.present().values()) <= limit
    assert front.manifest() is not None and len(shard_keys(store)) == len(sizes)


def test_a_shard_that_is_deleted_before_it_is_sent_is_made_again(
    front: ShardCache, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, puts = front.uploads, list[int]()
    assert uploads is not None

    def evict_the_first_of_it(entry: ShardEntry) -> None:
        puts.append(entry.unit)
        if entry.unit == 3 and puts.count(3) == 1:
            front.evict(3)
        Uploads.put(uploads, entry)

    monkeypatch.setattr(uploads, "put", evict_the_first_of_it)
    pack_into(front)
    assert puts.count(3) == 2
    assert front.manifest() is not None and len(shard_keys(store)) == len(front.recipe.units)


def test_what_could_not_be_sent_is_sent_when_the_store_is_back(
    packed: ShardCache, front: ShardCache, store: SlowStore
) -> None:
    uploads = front.uploads
    assert uploads is not None
    store.is_away = True
    for unit in range(3):
        front.add(unit, packed.path(unit).read_bytes())
    wait_until(lambda: not uploads.wait(0.1))
    store.is_away = False
    front.add(3, packed.path(3).read_bytes())
    uploads.drain()
    assert shard_keys(store) == {front.pack.key(unit) for unit in range(4)}


def test_a_failure_is_said_once_and_closing_does_not_wait_for_the_rest(
    packed: ShardCache, front: ShardCache, store: SlowStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_away = True
    uploads = front.uploads
    assert uploads is not None
    with caplog.at_level(logging.WARNING, logger="ten"):
        for unit in range(4):
            front.add(unit, packed.path(unit).read_bytes())
        wait_until(lambda: not uploads.wait(0.1))
    assert caplog.text.count("is away") == 1
    store.gate.clear()
    for unit in range(4, 10):
        front.add(unit, packed.path(unit).read_bytes())
    uploads.close(0.2)
    store.is_away = False
    store.gate.set()
    wait_until(lambda: not any(thread.name == "upload" for thread in threading.enumerate()))
    assert len(shard_keys(store)) <= 4


def test_a_shard_that_a_finished_pack_has_lost_is_back_when_packing_ends(
    front: ShardCache, store: SlowStore, recipe: Recipe, tmp_path: Path
) -> None:
    pack_into(front)
    store.delete(front.pack.key(1))
    store.gate.clear()
    later = threading.Timer(0.3, store.gate.set)
    later.start()
    assert pack_into(ShardCache(store, recipe, tmp_path / "front")).packed == 0
    later.join()
    assert front.pack.key(1) in shard_keys(store)


def test_what_nobody_foresaw_ends_the_upload_and_the_wait_for_it(
    packed: ShardCache, front: ShardCache, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store, "send", fail)
    front.add(2, packed.path(2).read_bytes())
    assert front.uploads is not None
    with pytest.raises(OSError, match="Input/output error"):
        front.uploads.drain()


def test_packing_goes_no_further_than_the_disk_may_be_filled_while_the_store_is_away(
    front: ShardCache, store: SlowStore, packed: ShardCache
) -> None:
    store.is_away = True
    largest = max(packed.present().values())
    with pytest.raises(ServiceUnavailable, match="is away"):
        pack_all(front, engine="tokenizers", threads=1, limit=3 * largest)
    assert 0 < sum(front.present().values()) <= 4 * largest


def test_a_shard_that_came_and_went_takes_no_room(front: ShardCache, packed: ShardCache) -> None:
    room = PackRoom(front, 5 * max(packed.present().values()))
    assert front.uploads is not None
    for unit in packed.present():
        room.make(unit, lambda: None)
        front.add(unit, packed.path(unit).read_bytes())
        front.uploads.drain()
    assert len(front.present()) >= 4


def test_a_shard_that_is_deleted_while_it_is_looked_at_is_not_there(
    packed: ShardCache, front: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    front.add(2, packed.path(2).read_bytes())
    found = front.find_here

    def find_and_lose(unit: int) -> Shard | None:
        shard = found(unit)
        front.path(unit).unlink()
        return shard

    monkeypatch.setattr(front, "find_here", find_and_lose)
    stored = front.pack.entry(2)
    assert front.entry(2) == stored


def test_packing_again_makes_a_lost_page_of_the_manifest_anew(
    front: ShardCache, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ten.data.manifest.PAGE_UNITS", 2)
    pack_into(front)
    page = next(stat.key for stat in store.list() if stat.key.endswith("pages/00001.json"))
    whole = store.read(page)
    for damaged in (None, b"[]"):
        store.delete(page)
        if damaged is not None:
            store.write(page, damaged)
        assert pack_into(front).packed == 0
        assert store.read(page) == whole
