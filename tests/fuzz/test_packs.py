"""Packs: a damaged manifest, page, shard or journal is named or passed over; other tokens never come of it."""

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from ten.data.entries import Entries
from ten.data.journal import Journal, Place
from ten.data.manifest import encode_manifest, make_manifest, parse_manifest
from ten.data.shards import open_shard
from tests.data.small import documents_of, entries_of, make_shard_bytes, recipe_of, recipe_of_many
from tests.fuzz.conftest import Explore
from tests.fuzz.mutations import changed, documents, encoded, mutated
from tests.fuzz.refusal import answer_or_refusal

UNITS = (3, 2500)
DOCUMENTS = [[5, 6, 7, 0], [0], [65_535, 1, 0]]


@pytest.mark.parametrize("units", UNITS)
def test_a_manifest_lists_each_unit_in_its_place_or_is_named(corpus_path: Path, explore: Explore, units: int) -> None:
    pages: dict[str, bytes] = {}
    recipe = recipe_of_many(recipe_of(corpus_path), units)
    whole = encode_manifest(make_manifest(recipe, entries_of(units), 5, pages.__setitem__))

    def check(data: bytes) -> None:
        manifest = answer_or_refusal(lambda: parse_manifest(data, "the/manifest.json"), "the/manifest.json")
        if manifest is None:
            return
        entries = Entries(manifest, lambda name: pages[name], "the/pack")
        for unit in {0, 1, 1024, len(entries) - 1} & set(range(len(entries))):
            entry = answer_or_refusal(partial(entries.entry, unit), "the/pack")
            assert entry is None or entry.unit == unit

    explore(documents(whole), check)


def test_a_damaged_shard_gives_its_tokens_or_is_named(explore: Explore, tmp_path: Path) -> None:
    whole, path = make_shard_bytes(DOCUMENTS, unit=3), tmp_path / "00003.safetensors"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        shard = answer_or_refusal(lambda: open_shard(path), path)
        assert shard is None or documents_of(shard) == DOCUMENTS

    explore(mutated(whole) | st.binary(max_size=60), check)


def test_a_shard_with_any_header_gives_its_tokens_or_is_named(explore: Explore, tmp_path: Path) -> None:
    whole, path = make_shard_bytes(DOCUMENTS, unit=3), tmp_path / "00003.safetensors"
    length = int.from_bytes(whole[:8], "little")
    tree = msgspec.json.decode(whole[8 : 8 + length])
    tree["__metadata__"]["ten"] = msgspec.json.decode(tree["__metadata__"]["ten"])

    def check(tree: object) -> None:
        if isinstance(tree, dict) and isinstance(tree.get("__metadata__"), dict) and "ten" in tree["__metadata__"]:
            told = encoded(tree["__metadata__"]["ten"]).decode()
            tree = tree | {"__metadata__": tree["__metadata__"] | {"ten": told}}
        head = encoded(tree)
        path.write_bytes(len(head).to_bytes(8, "little") + head + whole[8 + length :])
        shard = answer_or_refusal(lambda: open_shard(path), path)
        assert shard is None or documents_of(shard) == DOCUMENTS

    explore(changed(tree), check)


def test_a_damaged_journal_is_the_beginning_of_what_was_written(explore: Explore, tmp_path: Path) -> None:
    path = tmp_path / "00000.journal"
    journal = Journal(path, "f" * 64, 0)
    arrays: list[list[NDArray[Any]]] = [
        [np.arange(7, dtype=np.uint16), np.array([3, 7], np.uint64)],
        [np.arange(9, dtype=np.uint16)],
    ]
    for number, some in enumerate(arrays):
        journal.append(Place(segments=number + 1), skipped=0, bad=0, arrays=some)
    journal.close(done=False)
    written = [[array.tobytes() for array in some] for some in arrays]

    def check(data: bytes) -> None:
        path.write_bytes(data)
        journal = Journal(path, "f" * 64, 0)
        found = [content for _, content in journal.read()]
        journal.close(done=False)
        assert found == written[: len(found)]

    explore(mutated(path.read_bytes()), check)
