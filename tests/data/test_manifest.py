"""Manifest: complete, and refused by name when it belongs to something else."""

import hashlib
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.data.cache import ShardCache
from ten.data.entries import Entries
from ten.data.manifest import FORMAT, PAGE_UNITS, Manifest, ShardEntry, encode_manifest, make_manifest, parse_manifest
from ten.data.recipe import Recipe
from ten.errors import DataError
from ten.text.units import Part, Unit
from tests.data.small import small_tokenizer


@pytest.fixture
def manifest(packed: ShardCache) -> Manifest:
    found = packed.manifest()
    assert found is not None
    return found


def recipe_of_many(recipe: Recipe, units: int) -> Recipe:
    """A recipe that has so many units, all alike."""
    return msgspec.structs.replace(
        recipe, units=tuple(Unit(index=index, parts=(Part(file=0),)) for index in range(units))
    )


def entries_of(units: int) -> Iterator[ShardEntry]:
    """Entries as a pack of so many units would have them."""
    for unit in range(units):
        yield ShardEntry(
            unit=unit,
            bytes=100 + unit,
            tokens=unit,
            documents=1,
            held_out_tokens=2,
            held_out_documents=3,
            skipped=4,
            bad=5,
            sha256=f"{unit:064x}",
        )


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


@pytest.mark.parametrize("units", [PAGE_UNITS, PAGE_UNITS + 1, 2 * PAGE_UNITS, 2 * PAGE_UNITS + 7])
def test_what_is_listed_is_found_whether_it_takes_pages_or_not(recipe: Recipe, units: int) -> None:
    pages: dict[str, bytes] = {}
    made = make_manifest(recipe_of_many(recipe, units), entries_of(units), 7, pages.__setitem__)
    assert sorted(pages) == ([f"pages/{page:05d}.json" for page in range(-(-units // 1024))] if units > 1024 else [])
    manifest = parse_manifest(encode_manifest(made), "m", recipe_of_many(recipe, units))
    assert manifest == made and (manifest.units, manifest.skipped) == (units, 4 * units)
    entries = Entries(manifest, pages.__getitem__)
    assert len(entries) == units
    assert list(entries) == list(entries_of(units))
    for unit in (0, 1, 1023, 1024, units - 1):
        assert entries.entry(min(unit, units - 1)).unit == min(unit, units - 1)
    for unit in (-1, units):
        with pytest.raises(IndexError, match=rf"has {units} shards, and none has the number {unit}"):
            entries.entry(unit)


def test_the_first_shard_needs_no_page_and_others_one_each(recipe: Recipe) -> None:
    pages: dict[str, bytes] = {}
    manifest = make_manifest(recipe_of_many(recipe, 30_000), entries_of(30_000), write_page=pages.__setitem__)
    read: list[str] = []

    def reading(name: str) -> bytes:
        read.append(name)
        return pages[name]

    entries = Entries(manifest, reading)
    assert entries.entry(0).unit == 0 and read == []
    assert [entries.entry(unit).unit for unit in (5000, 5001, 4999, 5000)] == [5000, 5001, 4999, 5000]
    assert read == ["pages/00004.json"]
    for page in range(25):  # more than are kept
        entries.entry(page * PAGE_UNITS)
    entries.entry(5000)
    assert read.count("pages/00004.json") == 2


def test_a_damaged_page_is_refused_by_name(recipe: Recipe) -> None:
    pages: dict[str, bytes] = {}
    manifest = make_manifest(recipe_of_many(recipe, 2000), entries_of(2000), write_page=pages.__setitem__)
    pages["pages/00001.json"] = pages["pages/00001.json"].replace(b'"tokens":1500', b'"tokens":1501')
    entries = Entries(manifest, pages.__getitem__, "s3://b/packs/p")
    assert entries.entry(1000).tokens == 1000
    with pytest.raises(DataError, match=r"s3://b/packs/p/pages/00001\.json: damaged: .*`ten pack`"):
        entries.entry(1500)


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
