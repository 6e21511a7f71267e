"""Held-out batches: every token predicted once, all bytes counted."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ten.data.cache import ShardCache
from ten.data.fill import PretokFill
from ten.data.held_out import HeldOut, HeldOutBatch
from ten.data.split import Split
from ten.store.local import LocalStore
from tests.data.small import make_texts, pack_into, recipe_of, write_jsonl


@pytest.fixture(scope="module")
def much(tmp_path_factory: pytest.TempPathFactory) -> ShardCache:
    """A pack of which a third is held out."""
    folder = tmp_path_factory.mktemp("held-out")
    recipe = recipe_of(write_jsonl(folder / "a.jsonl", make_texts(150)))
    recipe = msgspec.structs.replace(recipe, split=Split(documents_per_million=333_000))
    cache = ShardCache(LocalStore(folder / "store"), recipe)
    pack_into(cache)
    return cache


def documents(cache: ShardCache) -> list[list[int]]:
    found: list[list[int]] = []
    for unit in range(len(cache.recipe.units)):
        shard = cache.find(unit)
        assert shard is not None
        ends = shard.held_out_ends.tolist()
        found += [shard.held_out_tokens[a:b].tolist() for a, b in zip([0, *ends], ends, strict=False)]
    return found


def held_out(
    cache: ShardCache, *, seq_len: int = 16, rows: int = 4, max_tokens: int = 10**9, reset: bool = True
) -> HeldOut:
    fill = PretokFill(cache, "")
    return HeldOut(cache.recipe, fill, seq_len=seq_len, rows=rows, max_tokens=max_tokens, reset_carry=reset)


def flat(batches: list[HeldOutBatch], what: str) -> list[int]:
    """Inputs, targets or starts where a target counts, in order."""
    values: list[int] = []
    for batch in batches:
        tensors = {"inputs": batch.tokens[:, :-1], "targets": batch.tokens[:, 1:], "starts": batch.starts}
        values += [int(value) for value in tensors[what][batch.weights == 1].tolist()]
    return values


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(seq_len=st.integers(1, 300), rows=st.integers(1, 9), max_tokens=st.integers(1, 3000))
def test_every_held_out_token_is_predicted_once(much: ShardCache, seq_len: int, rows: int, max_tokens: int) -> None:
    data = held_out(much, seq_len=seq_len, rows=rows, max_tokens=max_tokens)
    batches = list(data)
    expected: list[list[int]] = []
    for document in documents(much):
        if expected and sum(map(len, expected)) + len(document) > max_tokens:
            break
        expected.append(document)
    stream = [token for document in expected for token in document]
    assert flat(batches, "targets") == stream
    assert flat(batches, "inputs") == [much.recipe.tokenizer.end_of_document, *stream[:-1]]
    assert data.tokens == len(stream) == sum(int(batch.weights.sum()) for batch in batches)
    assert data.text_bytes == sum(len(much.recipe.tokenizer.decode(document).encode()) for document in expected)


def test_no_more_tokens_than_wanted_unless_the_first_document_has_more(much: ShardCache) -> None:
    first, second, *_ = map(len, documents(much))
    for wanted, found in ((1, first), (first, first), (first + second - 1, first), (first + second, first + second)):
        assert held_out(much, max_tokens=wanted).tokens == found


def test_starts_are_the_first_tokens_of_documents(much: ShardCache) -> None:
    end = much.recipe.tokenizer.end_of_document
    inputs, starts = flat(list(held_out(much)), "inputs"), flat(list(held_out(much)), "starts")
    assert starts == [0, *(int(token == end) for token in inputs[:-1])]
    assert sum(starts) == len(documents(much))
    assert not any(flat(list(held_out(much, reset=False)), "starts"))


def test_padding_weighs_nothing_and_shapes_are_constant(much: ShardCache) -> None:
    data = held_out(much, seq_len=37, rows=5)
    batches = list(data)
    assert {tuple(batch.tokens.shape) for batch in batches[:-1]} == {(5, 38)}
    last = batches[-1]
    assert last.tokens.shape[1] == 38 and 1 <= len(last.tokens) <= 5
    assert last.weights.dtype == torch.float32 and set(last.weights.flatten().tolist()) <= {0.0, 1.0}
    padding = 37 * sum(len(batch.tokens) for batch in batches) - data.tokens
    assert 0 < padding < 37
    assert not last.weights[-1, -padding:].any() and not last.starts[-1, -padding:].any()


def test_it_may_be_read_again(much: ShardCache) -> None:
    data = held_out(much)
    assert flat(list(data), "targets") == flat(list(data), "targets")


def test_a_corpus_without_held_out_documents_gives_no_batch(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(recipe_of(write_jsonl(tmp_path / "a.jsonl", make_texts(9))), split=Split())
    cache = ShardCache(LocalStore(tmp_path), recipe)
    pack_into(cache)
    data = held_out(cache)
    assert (list(data), data.tokens, data.text_bytes) == ([], 0, 0)


def test_few_shards_are_asked_for_ahead(much: ShardCache) -> None:
    class Prompter(PretokFill):
        wanted: ClassVar[list[list[int]]] = []

        def want(self, units: Sequence[int]) -> None:
            self.wanted.append(list(units))

    data = HeldOut(much.recipe, Prompter(much, ""), seq_len=16, rows=4, max_tokens=10**9)
    assert data.tokens > 0
    last = len(much.recipe.units) - 1
    assert Prompter.wanted == [list(range(unit, min(unit + 4, last) + 1)) for unit in range(last + 1)]


def test_shards_past_the_limit_are_not_read(much: ShardCache) -> None:
    class CountingFill(PretokFill):
        read = 0

        def shard(self, unit: int):  # type: ignore[no-untyped-def]
            self.read += 1
            return super().shard(unit)

    fill = CountingFill(much, "")
    data = HeldOut(much.recipe, fill, seq_len=16, rows=4, max_tokens=1)
    assert fill.read == 0
    assert data.tokens > 0
    assert 1 <= fill.read < 4
