"""The store goes before the tokenizer: what it has is pulled, and what is done when it has not, or is away."""

import os
import threading
import time
from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.data.manifest import ShardEntry
from ten.data.packer_messages import PackerOrder
from ten.data.published import Packing
from ten.data.pulling import Pull, Puller
from ten.data.recipe import Recipe
from ten.data.supply import Supply
from ten.errors import DataError, MissingInput, ServiceUnavailable
from ten.store.protocol import ObjectStat
from tests.data.small import CountingStore, documents_of, pack_into


class FailingStore(CountingStore):
    """A store that can go away."""

    is_away = False

    def read(self, key: str) -> bytes:
        if self.is_away:
            self.reads.append(key)
            raise ServiceUnavailable("memory: is away")
        return super().read(key)

    def stat(self, key: str) -> ObjectStat | None:
        if self.is_away:
            raise ServiceUnavailable("memory: is away")
        return super().stat(key)


@pytest.fixture
def store(recipe: Recipe, tmp_path: Path) -> FailingStore:
    """A store with the whole pack."""
    store = FailingStore()
    pack_into(ShardCache(store, recipe, tmp_path / "packer"))
    store.reads.clear()
    return store


@pytest.fixture
def empty(store: FailingStore, recipe: Recipe, tmp_path: Path) -> ShardCache:
    """An empty machine."""
    return ShardCache(store, recipe, tmp_path / "empty")


def puller_of(cache: ShardCache, notes: list[str], *, may_pack: bool, first: ShardEntry | None = None) -> Puller:
    order = PackerOrder(
        recipe=cache.recipe, store="memory:", may_pack=may_pack, advice="ten pack --set x=y", first=first
    )
    return Puller(cache, order, notes.append)


@pytest.mark.parametrize("may_pack", [False, True])
def test_what_the_store_has_is_pulled_and_counted(empty: ShardCache, may_pack: bool) -> None:
    pull, notes = Pull(), list[str]()
    cost = puller_of(empty, notes, may_pack=may_pack).pull(3, pull)
    assert cost is not None
    assert (cost.pulled, cost.pulled_bytes, cost.tokenize_s) == (1, empty.size(3), 0.0)
    assert pull.has_moved() and notes == []


def test_the_beginning_is_shown_before_the_rest_is_here(empty: ShardCache) -> None:
    manifest = empty.manifest()
    assert manifest is not None
    first = manifest.shards[0]
    shown: list[tuple[list[int], list[int], int | None]] = []
    puller = puller_of(empty, [], may_pack=False, first=first)
    puller.pull(0, Pull(), lambda tokens, ends: shown.append((tokens.tolist(), ends.tolist(), empty.size(0))))
    shard = empty.find_here(0)
    assert shard is not None
    assert shown == [(shard.tokens.tolist(), shard.document_ends.tolist(), None)]


def test_a_beginning_with_other_bytes_is_an_error(empty: ShardCache, store: FailingStore) -> None:
    manifest = empty.manifest()
    assert manifest is not None
    data = bytearray(store.read(empty.pack.key(0)))
    data[-3] ^= 1
    store.write(empty.pack.key(0), bytes(data))
    with pytest.raises(DataError, match=r"00000\.safetensors: its first \d+ bytes are not those in the manifest"):
        empty.pack.beginning(manifest.shards[0])


def test_damage_is_fetched_again_then_made_anew_or_named(
    empty: ShardCache, store: FailingStore, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(store.read(empty.pack.key(2)))
    data[-3] ^= 1
    store.write(empty.pack.key(2), bytes(data))
    store.reads.clear()
    notes: list[str] = []
    assert puller_of(empty, notes, may_pack=True).pull(2, Pull()) is None
    assert store.reads.count(empty.pack.key(2)) == 2
    assert notes[0].endswith("shard 2 is made anew") and "damaged" in notes[0]
    with pytest.raises(DataError, match=r"00002\.safetensors: damaged"):
        puller_of(empty, notes, may_pack=False).pull(2, Pull())
    assert empty.size(2) is None


def test_a_store_that_is_away_is_left_alone_for_a_while_by_who_can_pack(empty: ShardCache, store: FailingStore) -> None:
    store.is_away = True
    notes: list[str] = []
    puller = puller_of(empty, notes, may_pack=True)
    assert puller.pull(1, Pull()) is None
    store.reads.clear()
    assert puller.pull(2, Pull()) is None
    assert store.reads == []
    assert len(notes) == 1 and "is away; shards are made here for the next 60 s" in notes[0]
    with pytest.raises(ServiceUnavailable, match="is away"):
        puller_of(empty, notes, may_pack=False).pull(1, Pull())


def test_a_lost_shard_names_the_command_that_makes_it(empty: ShardCache, store: FailingStore) -> None:
    store.delete(empty.pack.key(5))
    with pytest.raises(MissingInput, match=r"has lost a shard: shard 5 is not there; run `ten pack --set x=y`"):
        puller_of(empty, [], may_pack=False).pull(5, Pull())
    assert puller_of(empty, [], may_pack=True).pull(5, Pull()) is None


def test_a_shard_of_a_pack_under_way_is_waited_for(
    empty: ShardCache, store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ten.data.pulling._POLL_S", 0.05)
    packing = empty.pack.packing()
    assert isinstance(packing, Packing) and packing.seconds > 0 and packing.text_bytes > 0
    data, key = store.read(empty.pack.key(4)), empty.pack.key(4)
    empty.pack.retract()
    store.delete(key)
    later = threading.Timer(0.3, store.write, (key, data))
    later.start()
    costs: list[Supply | None] = [puller_of(empty, [], may_pack=False).pull(4, Pull())]
    later.join()
    assert costs[0] is not None and costs[0].pulled == 1


def test_without_a_store_behind_the_folder_there_is_nothing_to_pull(packed: ShardCache) -> None:
    assert puller_of(packed, [], may_pack=True).pull(0, Pull()) is None


def test_a_damaged_copy_here_is_replaced_from_the_store(empty: ShardCache) -> None:
    first = empty.find(1)
    assert first is not None
    expected = documents_of(first)
    empty.forget(1)
    os.truncate(empty.path(1), 100)
    assert puller_of(empty, [], may_pack=False).pull(1, Pull()) is not None
    again = empty.find_here(1)
    assert again is not None and documents_of(again) == expected


def test_a_beginning_that_does_not_come_right_is_done_without(
    empty: ShardCache, store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = empty.manifest()
    assert manifest is not None
    monkeypatch.setattr(store, "read_range", lambda key, start, length: bytes(length))
    shown, notes = list[int](), list[str]()
    puller = puller_of(empty, notes, may_pack=False, first=manifest.shards[0])
    assert puller.pull(0, Pull(), lambda tokens, ends: shown.append(len(tokens))) is not None
    assert shown == [] and empty.find_here(0) is not None
    assert "are not those in the manifest" in notes[0]


def test_a_lost_first_shard_names_the_command_too(empty: ShardCache, store: FailingStore) -> None:
    manifest = empty.manifest()
    assert manifest is not None
    store.delete(empty.pack.key(0))
    puller = puller_of(empty, [], may_pack=False, first=manifest.shards[0])
    with pytest.raises(MissingInput, match=r"shard 0 is not there; run `ten pack --set x=y`"):
        puller.pull(0, Pull(), lambda tokens, ends: None)


def test_a_shard_that_comes_while_the_pack_is_being_finished_is_not_lost(
    empty: ShardCache, store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {key: store.read(key) for key in (empty.pack.key(4), f"packs/{empty.recipe.pack_name}/manifest.json")}
    for key in late:
        store.delete(key)
    stat = store.stat

    def finish_first(key: str) -> ObjectStat | None:
        for name, data in late.items():
            store.write(name, data)
        return stat(key)

    monkeypatch.setattr(store, "stat", finish_first)
    assert puller_of(empty, [], may_pack=False).pull(4, Pull()) is not None


def test_a_wait_for_another_packer_names_what_to_do_if_there_is_none(
    empty: ShardCache, store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ten.data.pulling._POLL_S", 0.02)
    monkeypatch.setattr("ten.data.pulling._TELL_S", 0.1)
    data, key, notes = store.read(empty.pack.key(4)), empty.pack.key(4), list[str]()
    empty.pack.retract()
    store.delete(key)
    later = threading.Timer(0.5, store.write, (key, data))
    later.start()
    puller_of(empty, notes, may_pack=False).pull(4, Pull())
    later.join()
    assert 1 <= len(notes) <= 5
    assert "shard 4" in notes[0] and "if nobody packs it any more, run `ten pack --set x=y`" in notes[0]


def test_a_store_that_keeps_who_asks_waiting_is_left_alone_for_longer(
    empty: ShardCache, store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ten.data.pulling._AWAY_S", 0.0)

    def hang(key: str) -> bytes:
        store.reads.append(key)
        time.sleep(0.5)
        raise ServiceUnavailable("memory: is away")

    monkeypatch.setattr(store, "read", hang)
    puller = puller_of(empty, [], may_pack=True)
    assert [puller.pull(unit, Pull()) for unit in (1, 2)] == [None, None]
    assert len(store.reads) == 1


def test_an_unfinished_pack_is_not_asked_for_its_manifest_with_every_shard(
    empty: ShardCache, store: FailingStore
) -> None:
    empty.pack.retract()
    puller = puller_of(empty, [], may_pack=True)
    for unit in range(4):
        assert puller.pull(unit, Pull()) is not None
    assert sum(key.endswith("manifest.json") for key in store.reads) == 1


def test_a_shard_that_an_earlier_process_could_not_send_is_sent_and_asked_for_once(
    empty: ShardCache, store: FailingStore
) -> None:
    assert empty.uploads is not None
    data = {unit: store.read(empty.pack.key(unit)) for unit in (2, 3)}
    for unit, shard in data.items():
        empty.path(unit).parent.mkdir(parents=True, exist_ok=True)
        empty.path(unit).write_bytes(shard)
    store.delete(empty.pack.key(2))
    puller, notes = puller_of(empty, [], may_pack=True), list[str]()
    for unit in data:
        puller.send_again(unit)
    empty.uploads.drain()
    assert store.read(empty.pack.key(2)) == data[2]
    store.is_away = True
    for unit in data:
        puller.send_again(unit)
    away = puller_of(ShardCache(store, empty.recipe, empty.folder.parents[1]), notes, may_pack=True)
    for unit in data:
        away.send_again(unit)
    assert len(notes) == 1 and "is away; shards are made here" in notes[0]
