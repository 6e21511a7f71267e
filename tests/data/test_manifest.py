"""Manifest: complete, and refused by name when it belongs to something else."""

import hashlib
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.data.cache import ShardCache
from ten.data.manifest import FORMAT, Manifest, ShardEntry, encode_manifest, make_manifest, parse_manifest
from ten.data.recipe import Recipe
from ten.errors import DataError
from tests.data.small import entries_of, recipe_of_many, small_tokenizer


@pytest.fixture
def manifest(packed: ShardCache) -> Manifest:
    found = packed.manifest()
    assert found is not None
    return found


def test_a_manifest_lists_every_shard_with_its_hash(packed: ShardCache, manifest: Manifest) -> None:
    assert [shard.unit for shard in manifest.shards] == list(range(len(packed.recipe.units)))
    for entry in manifest.shards:
        data = (packed.folder / "shards" / f"{entry.unit:05d}.safetensors").read_bytes()
        assert (entry.bytes, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert entry.head_sha256 == hashlib.sha256(data[: entry.head_bytes]).hexdigest()
        shard = packed.find(entry.unit)
        assert shard is not None and entry.tokens == len(shard.tokens) and entry.documents == len(shard.document_ends)


def test_a_manifest_sums_its_shards_up(manifest: Manifest) -> None:
    for name in ("tokens", "bytes", "documents", "held_out_tokens", "held_out_documents", "skipped", "bad"):
        assert getattr(manifest, name) == sum(getattr(shard, name) for shard in manifest.shards)
    assert manifest.units == len(manifest.shards)
    assert manifest.documents + manifest.held_out_documents == 300


def test_a_manifest_survives_its_file(manifest: Manifest, recipe: Recipe) -> None:
    assert parse_manifest(encode_manifest(manifest), "x", recipe) == manifest


def test_a_manifest_lists_all_units_in_order_or_is_not_made(manifest: Manifest, recipe: Recipe) -> None:
    shards = manifest.shards
    for entries in (shards[1:], shards[:-1], (*shards, shards[0]), tuple(reversed(shards)), ()):
        with pytest.raises(ValueError, match=r"lists all .*units once and in order"):
            make_manifest(recipe, entries)
    with pytest.raises(ValueError, match=r"lists all 3000 units once and in order, not 0"):
        make_manifest(recipe_of_many(recipe, 3000), ())


def test_packs_list_the_same_where_their_shards_are_the_same(recipe: Recipe) -> None:
    def changed(units: int, unit: int) -> Iterator[ShardEntry]:
        for entry in entries_of(units):
            yield msgspec.structs.replace(entry, sha256="0" * 64) if entry.unit == unit else entry

    for units in (10, 3000):
        many = recipe_of_many(recipe, units)
        manifest = make_manifest(many, entries_of(units), 5)
        assert manifest.lists_same(make_manifest(many, entries_of(units), 6))
        assert not manifest.lists_same(make_manifest(many, changed(units, units - 1)))


def test_a_manifest_that_lists_too_little_is_refused(manifest: Manifest) -> None:
    short = msgspec.structs.replace(manifest, shards=manifest.shards[1:])
    with pytest.raises(DataError, match=r"m: no manifest \(it lists \d+ of \d+ shards\)"):
        parse_manifest(encode_manifest(short), "m")


def test_another_tokenizers_pack_is_refused_by_name(manifest: Manifest, recipe: Recipe) -> None:
    other = msgspec.structs.replace(recipe, tokenizer=msgspec.structs.replace(small_tokenizer(300), name="tiny"))
    with pytest.raises(
        DataError, match=r"pack/m: packed with tokenizer small \(\w{12}\), and this job uses tiny \(\w{12}\)"
    ):
        parse_manifest(encode_manifest(manifest), "pack/m", other)


def test_another_corpus_pack_is_refused_by_name(manifest: Manifest, recipe: Recipe) -> None:
    corpus = msgspec.structs.replace(recipe.corpus, dataset="poems", revision="v2")
    other = msgspec.structs.replace(recipe, corpus=corpus, fingerprint="0" * 64)
    with pytest.raises(
        DataError, match=r"pack/m: made from .*tales\.jsonl \(local, \w{12}\), and this job reads poems \(v2, 0{12}\)"
    ):
        parse_manifest(encode_manifest(manifest), "pack/m", other)


@pytest.mark.parametrize("content", [b'{"format": 1, "dataset": "d", "shards": []}', b'{"format": 3}'])
def test_another_format_is_refused_by_number(content: bytes) -> None:
    with pytest.raises(DataError, match=rf"m: manifest format [13], and this version reads {FORMAT}; pack again"):
        parse_manifest(content, "m")


@given(st.one_of(st.binary(max_size=50), st.sampled_from([b"", b"[]", b"{}", b'{"shards": []}', b"\xff"])))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"the/name: no manifest .*`ten pack`"):
        parse_manifest(data, "the/name")
