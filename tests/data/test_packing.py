"""Packing one unit: documents in order, each closed by the end, the same bytes everywhere."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from ten.data import packing
from ten.data.packing import Work, pack_unit
from ten.data.recipe import Recipe
from ten.data.shards import parse_shard
from ten.errors import DataError
from ten.text.engines import ENGINES, Ids
from tests.data.small import all_training, documents_of, make_texts, recipe_of, small_tokenizer, write_jsonl


class Encoder:
    """The reference, or whatever a test puts in its place."""

    name = "test"

    def __init__(self, *ids: int) -> None:
        self._ids = ids

    def encode(self, text: str) -> Ids:
        return np.array(self._ids or small_tokenizer().encode(text), dtype=np.uint32)


def test_a_shard_is_the_units_documents_each_closed_by_the_end(recipe: Recipe) -> None:
    recipe = all_training(recipe)
    texts: list[str] = []
    for unit in recipe.units:
        shard = parse_shard(pack_unit(recipe, unit, Encoder()), "x")
        documents = documents_of(shard)
        assert all(document[-1] == recipe.tokenizer.end_of_document for document in documents)
        assert not any(recipe.tokenizer.end_of_document in document[:-1] for document in documents)
        texts += map(recipe.tokenizer.decode, documents)
        assert (shard.header.unit, shard.header.fingerprint) == (unit.index, recipe.fingerprint)
    assert texts == make_texts(300)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_makes_the_same_bytes(recipe: Recipe, engine: str) -> None:
    assert pack_unit(recipe, recipe.units[0], ENGINES[engine](recipe.tokenizer)) == pack_unit(
        recipe, recipe.units[0], Encoder()
    )


def test_the_size_of_a_batch_of_records_changes_nothing(recipe: Recipe) -> None:
    once = {pack_unit(recipe, recipe.units[1], Encoder(), Work(batch_rows=rows)) for rows in (1, 3, 1000)}
    assert len(once) == 1


def test_growth_shows_the_same_tokens_as_the_shard(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "GROWTH_TOKENS", 64)
    pieces: list[tuple[NDArray[Any], NDArray[np.uint64]]] = []
    work = Work(grow=lambda tokens, ends: pieces.append((tokens.copy(), ends.copy())))
    data = pack_unit(recipe, recipe.units[0], Encoder(), work)
    shard = parse_shard(data, "x")
    assert len(pieces) > 3
    assert np.concatenate([tokens for tokens, _ in pieces]).tolist() == shard.tokens.tolist()
    assert np.concatenate([ends for _, ends in pieces]).tolist() == shard.document_ends.tolist()
    assert data == pack_unit(recipe, recipe.units[0], Encoder())


@pytest.mark.parametrize(("vocabulary", "dtype"), [(400, "U16"), (65_536, "U16"), (65_537, "U32"), (200_000, "U32")])
def test_the_vocabulary_decides_the_width(recipe: Recipe, vocabulary: int, dtype: str) -> None:
    recipe = msgspec.structs.replace(
        recipe, tokenizer=msgspec.structs.replace(recipe.tokenizer, vocabulary=vocabulary, end_of_document=0)
    )
    shard = parse_shard(pack_unit(recipe, recipe.units[0], Encoder(vocabulary - 1)), "x")
    assert (recipe.dtype, shard.header.dtype) == (dtype, dtype)
    assert int(shard.tokens.max()) == vocabulary - 1


def test_an_id_outside_the_vocabulary_is_an_error(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"'small' gave id 400 outside its vocabulary of 400"):
        pack_unit(recipe, recipe.units[0], Encoder(5, 400))


def test_the_end_of_a_document_inside_one_is_an_error(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"'small' gives its end-of-document id \d+ for plain text"):
        pack_unit(recipe, recipe.units[0], Encoder(5, recipe.tokenizer.end_of_document, 5))


def test_a_unit_of_a_subset_ends_with_its_last_record(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", make_texts(5))
    with path.open("ab") as file:
        file.write(b"not json, and not wanted\n")
    recipe = all_training(recipe_of(path, subset_size=5))
    texts: list[str] = []
    for unit in recipe.units:
        texts += map(small_tokenizer().decode, documents_of(parse_shard(pack_unit(recipe, unit, Encoder()), "x")))
    assert texts == make_texts(5)
