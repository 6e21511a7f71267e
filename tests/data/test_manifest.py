"""Manifest: complete, and refused by name when it belongs to something else."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.data.cache import ShardCache
from ten.data.manifest import FORMAT, Manifest, encode_manifest, make_manifest, parse_manifest
from ten.data.recipe import Recipe
from ten.errors import DataError
from tests.data.small import small_tokenizer


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
        shard = packed.find(entry.unit)
        assert shard is not None and entry.tokens == len(shard.tokens) and entry.documents == len(shard.document_ends)
    assert (manifest.tokens, manifest.bytes) == (
        sum(shard.tokens for shard in manifest.shards),
        sum(shard.bytes for shard in manifest.shards),
    )
    assert manifest.documents + sum(shard.held_out_documents for shard in manifest.shards) == 300


def test_a_manifest_survives_its_file(manifest: Manifest, recipe: Recipe) -> None:
    assert parse_manifest(encode_manifest(manifest), "x", recipe) == manifest


def test_a_manifest_lists_all_units_or_is_not_made(manifest: Manifest, recipe: Recipe) -> None:
    for entries in (manifest.shards[1:], (*manifest.shards, manifest.shards[0])):
        with pytest.raises(ValueError, match=r"lists all \d+ units once"):
            make_manifest(recipe, list(entries))


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


def test_another_format_is_refused_by_number(manifest: Manifest) -> None:
    newer = encode_manifest(msgspec.structs.replace(manifest, format=FORMAT + 1))
    with pytest.raises(DataError, match=rf"manifest format {FORMAT + 1}, and this version reads {FORMAT}"):
        parse_manifest(newer, "m")


@given(st.one_of(st.binary(max_size=50), st.sampled_from([b"", b"[]", b"{}", b'{"shards": []}', b"\xff"])))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"the/name: no manifest .*`ten pack`"):
        parse_manifest(data, "the/name")
