"""Entries: every shard is found where the manifest or a page of it lists it, and nothing is read twice for nothing."""

from pathlib import Path

import pytest

from ten.data.entries import Entries
from ten.data.manifest import PAGE_UNITS, encode_manifest, make_manifest, parse_manifest
from ten.data.recipe import Recipe
from ten.errors import DataError
from tests.data.small import entries_of, recipe_of_many


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
    for unit in (0, 1, 1022, 1023, units - 1):
        assert entries.entry(unit).unit == unit
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


def test_pages_are_kept_and_read_again_when_damaged(recipe: Recipe, tmp_path: Path) -> None:
    pages, read = dict[str, bytes](), list[str]()
    manifest = make_manifest(recipe_of_many(recipe, 3000), entries_of(3000), write_page=pages.__setitem__)

    def reading(name: str) -> bytes:
        read.append(name)
        return pages[name]

    for _ in range(2):
        assert Entries(manifest, reading, keep=tmp_path).entry(2000).unit == 2000
    assert read == ["pages/00001.json"]
    (tmp_path / "pages" / "00001.json").write_bytes(b"[]")
    assert Entries(manifest, reading, keep=tmp_path).entry(2000).unit == 2000
    assert read == ["pages/00001.json"] * 2
    assert (tmp_path / "pages" / "00001.json").read_bytes() == pages["pages/00001.json"]
