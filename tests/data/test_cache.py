"""The cache in front of a store: written through, fetched, verified."""

import logging
import os
from pathlib import Path

import msgspec
import pytest

from ten.data import cache as cache_module
from ten.data.cache import ShardCache
from ten.data.fill import PretokFill
from ten.data.recipe import Recipe
from ten.errors import DataError, MissingInput
from ten.store.memory import MemoryStore
from tests.data.small import CountingStore, documents_of, pack_into, recipe_of


@pytest.fixture
def store(recipe: Recipe, tmp_path: Path) -> CountingStore:
    """A store in memory with the whole pack."""
    store = CountingStore()
    pack_into(ShardCache(store, recipe, tmp_path / "packer"))
    store.reads.clear()
    return store


@pytest.fixture
def front(store: CountingStore, recipe: Recipe, tmp_path: Path) -> ShardCache:
    """An empty cache in front of it."""
    return ShardCache(store, recipe, tmp_path / "front")


def shard_file(cache: ShardCache, unit: int) -> Path:
    return cache.folder / "shards" / f"{unit:05d}.safetensors"


def shard_key(cache: ShardCache, unit: int) -> str:
    return f"packs/{cache.recipe.pack_name}/shards/{unit:05d}.safetensors"


def test_what_is_packed_is_written_through(store: CountingStore, recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "packer" / "packs" / recipe.pack_name
    for unit in range(len(recipe.units)):
        name = f"shards/{unit:05d}.safetensors"
        assert store.read(f"packs/{recipe.pack_name}/{name}") == (folder / name).read_bytes()
    assert store.writes[-1] == f"packs/{recipe.pack_name}/manifest.json"
    assert not (folder / "manifest.json").exists()


def test_a_shard_is_fetched_once_and_kept(front: ShardCache, store: CountingStore) -> None:
    first = front.find(2)
    assert first is not None and front.find(2) is first
    assert store.reads == [f"packs/{front.recipe.pack_name}/manifest.json", shard_key(front, 2)]
    assert shard_file(front, 2).read_bytes() == store.read(shard_key(front, 2))
    store.reads.clear()
    again = ShardCache(store, front.recipe, front.folder.parents[1]).find(2)
    assert again is not None and documents_of(again) == documents_of(first)
    assert store.reads == []


def test_what_is_nowhere_is_none(recipe: Recipe, tmp_path: Path) -> None:
    assert ShardCache(MemoryStore(), recipe, tmp_path).find(0) is None
    assert ShardCache(MemoryStore(), recipe, tmp_path).entry(0) is None


def test_a_damaged_fetch_is_an_error_and_is_not_kept(front: ShardCache, store: CountingStore) -> None:
    whole = store.read(shard_key(front, 1))
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        store.write(shard_key(front, 1), damaged)
        with pytest.raises(DataError, match=r"memory:/+packs/.*/shards/00001\.safetensors"):
            front.find(1)
        assert not shard_file(front, 1).exists()
    store.write(shard_key(front, 1), whole)
    assert front.find(1) is not None


def test_a_damaged_copy_is_put_aside_and_fetched_again(
    front: ShardCache, store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    front.find(1)
    front.forget(1)
    whole = shard_file(front, 1).read_bytes()
    os.truncate(shard_file(front, 1), 100)
    with caplog.at_level(logging.WARNING, logger="ten"):
        assert front.find(1) is not None
    assert shard_file(front, 1).read_bytes() == whole
    assert len(list(front.folder.glob("damaged/00001-*"))) == 1
    assert "put aside" in caplog.text


def test_what_is_damaged_everywhere_is_an_error(front: ShardCache, store: CountingStore) -> None:
    front.find(1)
    front.forget(1)
    os.truncate(shard_file(front, 1), 100)
    store.delete(shard_key(front, 1))
    with pytest.raises(DataError, match=r"00001\.safetensors"):
        front.find(1)
    assert front.find(1) is None


def test_two_readers_that_find_the_same_damage_do_not_meet(packed: ShardCache, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = [ShardCache(packed.pack.store, packed.recipe) for _ in range(2)]
    shard_file(packed, 1).write_bytes(shard_file(packed, 1).read_bytes()[:-1])
    put_aside = ShardCache._put_aside

    def other_was_first(cache: ShardCache, unit: int) -> None:
        put_aside(readers[1], unit)
        put_aside(cache, unit)

    monkeypatch.setattr(ShardCache, "_put_aside", other_was_first)
    with pytest.raises(DataError, match="cut short"):
        readers[0].find(1)
    assert readers[0].find(1) is readers[1].find(1) is None


def test_a_shard_of_another_unit_or_pack_is_refused(packed: ShardCache) -> None:
    shard_file(packed, 0).write_bytes(shard_file(packed, 1).read_bytes())
    with pytest.raises(DataError, match=r"holds unit 1 of pack \w{12}, not unit 0 of \w{12}"):
        ShardCache(packed.pack.store, packed.recipe).find(0)
    other = msgspec.structs.replace(packed.recipe, fingerprint=packed.recipe.fingerprint[:12] + "0" * 52)
    with pytest.raises(DataError, match=r"holds unit 1 of pack"):
        ShardCache(packed.pack.store, other).find(1)


def test_a_store_that_is_a_folder_is_its_own_cache(packed: ShardCache, tmp_path: Path) -> None:
    assert packed.folder == tmp_path / "store" / "packs" / packed.recipe.pack_name
    behind = ShardCache(packed.pack.store, packed.recipe, tmp_path / "fast")
    assert behind.find(0) is not None
    assert shard_file(behind, 0).read_bytes() == shard_file(packed, 0).read_bytes()


def test_a_store_that_is_no_folder_needs_one(recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="cache folder"):
        ShardCache(MemoryStore(), recipe)


def test_another_tokenizers_pack_is_never_found(packed: ShardCache, corpus_path: Path) -> None:
    from tests.data.small import small_tokenizer

    other = ShardCache(packed.pack.store, recipe_of(corpus_path, small_tokenizer(300)))
    assert other.manifest() is None and other.find(0) is None
    with pytest.raises(MissingInput, match=r"the pack .* does not exist yet: shard 0 is not there; run `ten pack it`"):
        PretokFill(other, "ten pack it")


def test_an_evicted_shard_is_closed_and_gone_from_the_folder_alone(front: ShardCache, store: CountingStore) -> None:
    first = front.find(2)
    assert first is not None and front.present() == {2: shard_file(front, 2).stat().st_size} == {2: front.size(2)}
    front.evict(2)
    front.evict(2)
    assert front.present() == {} and front.size(2) is None
    again = front.find(2)
    assert again is not None and again is not first and documents_of(again) == documents_of(first)
    assert store.reads == [f"packs/{front.recipe.pack_name}/manifest.json", *[shard_key(front, 2)] * 2]


def test_shards_that_another_process_evicted_are_closed(packed: ShardCache) -> None:
    reader = ShardCache(packed.pack.store, packed.recipe)
    kept, evicted = reader.find(1), reader.find(2)
    packed.evict(2)
    assert reader.find(2) is evicted
    reader.forget_evicted()
    assert reader.find(1) is kept and reader.find(2) is None


def test_a_finished_pack_in_its_store_is_kept(packed: ShardCache, tmp_path: Path) -> None:
    assert packed.is_kept
    assert not ShardCache(packed.pack.store, packed.recipe, tmp_path / "front").is_kept
    packed.pack.retract()
    assert not packed.is_kept


def test_few_shards_are_open_at_a_time(packed: ShardCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack has more shards than a process may have open files."""
    monkeypatch.setattr(cache_module, "_MOST_OPEN", 3)
    reader = ShardCache(packed.pack.store, packed.recipe)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, no paths
    shards = [documents_of(shard) for unit in range(len(packed.recipe.units)) if (shard := reader.find(unit))]
    del shard
    assert len(shards) > 10
    assert len(os.listdir("/proc/self/fd")) <= before + 4  # noqa: PTH208
    assert documents_of(reader.find(0) or pytest.fail("gone")) == shards[0]
