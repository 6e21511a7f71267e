"""The three modes fill one cache: rows do not tell them apart."""

import os
import threading
import time
from itertools import islice
from pathlib import Path

import pytest

from ten.data import packing
from ten.data.cache import ShardCache
from ten.data.encoder_choice import open_encoder
from ten.data.fill import Fill, FollowingFill, PretokFill, StreamingFill
from ten.data.packer import Packer
from ten.data.packer_messages import PackerOrder
from ten.data.packing import pack_unit
from ten.data.reader import read_rows
from ten.data.recipe import Recipe
from ten.errors import DataError, MissingInput, ServiceUnavailable
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from tests.data.small import documents_of, make_texts, pack_into, recipe_of, start_of, wait_until, write_jsonl

Fact = tuple[int, int, int, bytes, bytes]


def order_of(cache: ShardCache, **options: object) -> PackerOrder:
    store = cache.folder.parents[1]
    return PackerOrder(recipe=cache.recipe, store=str(store), engine="tokenizers", **options)  # type: ignore[arg-type]


def facts(fill: Fill, recipe: Recipe, count: int, seq_len: int = 24) -> list[Fact]:
    rows = islice(read_rows(recipe, fill, start_of(recipe, seq_len)), count)
    return [(row.epoch, row.era, row.row_in_era, row.tokens.tobytes(), row.starts().tobytes()) for row in rows]


@pytest.fixture(scope="module")
def large_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Units of several growth steps of 65,536 tokens each."""
    return write_jsonl(tmp_path_factory.mktemp("large") / "large.jsonl", make_texts(12_000, words=60))


def test_every_mode_gives_the_same_rows(packed: ShardCache, tmp_path: Path) -> None:
    recipe = packed.recipe
    expected = facts(PretokFill(packed, ""), recipe, 1200)
    assert {fact[0] for fact in expected} >= {0, 1}
    streaming = ShardCache(LocalStore(tmp_path / "streaming"), recipe)
    following = FollowingFill(ShardCache(LocalStore(tmp_path / "streaming"), recipe))
    fill = StreamingFill(streaming, Packer(order_of(streaming)))
    seen: list[Fact] = []
    follower = threading.Thread(target=lambda: seen.extend(facts(following, recipe, 1200)))
    follower.start()
    try:
        assert facts(fill, recipe, 1200) == expected
        follower.join(60)
    finally:
        fill.close()
    assert seen == expected
    pack_into(streaming)
    assert facts(PretokFill(ShardCache(LocalStore(tmp_path / "streaming"), recipe), ""), recipe, 1200) == expected


def test_rows_of_a_growing_shard_are_those_of_the_finished_one(large_corpus: Path, tmp_path: Path) -> None:
    recipe = recipe_of(large_corpus)
    whole = ShardCache(LocalStore(tmp_path / "whole"), recipe)
    first = next(unit for unit in recipe.units if unit.index == _first_unit(recipe))
    data = pack_unit(recipe, first, open_encoder(recipe, first)[0])
    whole.add(first.index, data)
    growing = ShardCache(LocalStore(tmp_path / "growing"), recipe)
    fill = StreamingFill(growing, Packer(order_of(growing)))
    try:
        shard = whole.find(first.index)
        assert shard is not None and len(shard.tokens) > 3000
        count = (len(shard.tokens) - 1) // 24
        assert facts(fill, recipe, count) == facts(FollowingFill(whole), recipe, count)
    finally:
        fill.close()


def _first_unit(recipe: Recipe) -> int:
    from ten.data.order import era_units

    return era_units(0, 0, 0, recipe.training_units)[0]


def test_tokens_of_a_growing_unit_come_before_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ten.text.units._UNITS_WANTED", 1)
    recipe = recipe_of(write_jsonl(tmp_path / "a.jsonl", make_texts(9000, words=60)))
    assert len(recipe.units) == 1
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe)
    fill = StreamingFill(cache, Packer(order_of(cache)))
    try:
        part = fill.tokens_from(0, 100)
        assert part is not None and part[0].size >= packing.GROWTH_TOKENS
        seen = [part]
        while (part := fill.tokens_from(0, seen[-1][0].size + 1)) is not None:
            seen.append(part)
        shard = fill.shard(0)
    finally:
        fill.close()
    assert len(seen) > 1
    for tokens, ends in seen:
        assert tokens.tolist() == shard.tokens[: len(tokens)].tolist()
        assert ends.tolist() == shard.document_ends[: len(ends)].tolist() and ends[-1] == len(tokens)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_cached_shard_is_made_anew_while_streaming(packed: ShardCache, damage: str) -> None:
    expected = facts(PretokFill(packed, ""), packed.recipe, 1200)
    for unit in (1, 5, 9):
        path = packed.folder / "shards" / f"{unit:05d}.safetensors"
        whole = path.read_bytes()
        path.write_bytes(whole[:-4] if damage == "cut" else whole[:-4] + bytes(4))
    cache = ShardCache(packed.pack.store, packed.recipe)
    fill = StreamingFill(cache, Packer(order_of(cache)))
    try:
        assert facts(fill, packed.recipe, 1200) == expected
    finally:
        fill.close()
    assert {path.name[:5] for path in packed.folder.glob("damaged/*")} == {"00001", "00005", "00009"}


def test_a_shard_that_is_damaged_after_it_was_done_is_made_again(cache: ShardCache) -> None:
    fill = StreamingFill(cache, Packer(order_of(cache)))
    try:
        expected = documents_of(fill.shard(3))
        cache.forget(3)
        os.truncate(cache.folder / "shards" / "00003.safetensors", 64)
        assert documents_of(fill.shard(3)) == expected
        cache.forget(3)
        (cache.folder / "shards" / "00003.safetensors").unlink()
        assert documents_of(fill.shard(3)) == expected
    finally:
        fill.close()


def test_a_shard_in_the_store_is_fetched_not_packed(packed: ShardCache, tmp_path: Path) -> None:
    cache = ShardCache(packed.pack.store, packed.recipe, tmp_path / "fast")
    fill = StreamingFill(cache, Packer(order_of(packed, cache_dir=str(tmp_path / "fast"))))
    try:
        assert facts(fill, packed.recipe, 300) == facts(PretokFill(packed, ""), packed.recipe, 300)
    finally:
        fill.close()
    assert list((tmp_path / "fast").rglob("*.safetensors"))


def test_pretok_says_which_command_packs_what_is_missing(packed: ShardCache) -> None:
    (packed.folder / "shards" / "00004.safetensors").unlink()
    fill = PretokFill(ShardCache(packed.pack.store, packed.recipe), "ten pack --set x=y")
    assert fill.shard(3).header.unit == 3
    with pytest.raises(
        MissingInput, match=r"the pack .* has lost a shard: shard 4 is not there; run `ten pack --set x=y`"
    ):
        fill.shard(4)


def test_pretok_refuses_an_unfinished_pack_before_anything_is_read(packed: ShardCache) -> None:
    (packed.folder / "manifest.json").unlink()
    assert PretokFill(packed, "").shard(4).header.unit == 4
    (packed.folder / "shards" / "00004.safetensors").unlink()
    with pytest.raises(MissingInput, match=r"the pack .* is not finished: shard 4 is not there; run `ten pack`"):
        PretokFill(packed, "ten pack")


def test_pretok_refuses_a_damaged_shard(packed: ShardCache) -> None:
    os.truncate(packed.folder / "shards" / "00004.safetensors", 500)
    with pytest.raises(DataError, match=r"00004\.safetensors.*`ten pack`"):
        PretokFill(ShardCache(packed.pack.store, packed.recipe), "").shard(4)


def test_a_following_rank_sees_shards_appear_even_after_damage(packed: ShardCache) -> None:
    path = packed.folder / "shards" / "00004.safetensors"
    whole = path.read_bytes()
    os.truncate(path, 500)
    fill = FollowingFill(ShardCache(packed.pack.store, packed.recipe))
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(fill.shard(4).header.unit))
    thread.start()
    wait_until(lambda: not path.exists())
    path.write_bytes(whole)
    thread.join(10)
    assert found == [4]


def test_a_following_rank_does_not_wait_for_ever(recipe: Recipe, tmp_path: Path) -> None:
    fill = FollowingFill(ShardCache(MemoryStore(), recipe, tmp_path), patience_s=0.2)
    with pytest.raises(ServiceUnavailable, match=r"shard 0 of .* did not appear within 0 s"):
        fill.shard(0)


def test_closing_ends_the_wait_of_a_following_rank(recipe: Recipe, tmp_path: Path) -> None:
    fill = FollowingFill(ShardCache(MemoryStore(), recipe, tmp_path))
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            fill.shard(0)
        except ServiceUnavailable as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    fill.close()
    thread.join(5)
    assert not thread.is_alive() and len(failures) == 1
