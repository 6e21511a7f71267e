"""The held-out split: never trained on, the same for every seed, copies together."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.data.cache import ShardCache
from ten.data.fill import PretokFill
from ten.data.held_out import HeldOut
from ten.data.recipe import make_recipe, subset_units
from ten.data.split import WHOLE, Split, is_held_out, plan_split
from ten.store.local import LocalStore
from ten.text.corpus import Corpus
from ten.text.opening import open_corpus
from tests.data.small import documents_of, make_texts, pack_into, recipe_of, small_tokenizer, write_jsonl


@given(st.lists(st.floats(0, 6e7), min_size=1, max_size=60))
def test_a_small_corpus_gives_a_share_of_its_documents(sizes: list[float]) -> None:
    split = plan_split(sizes)
    assert split.units == 0
    assert 5_000 <= split.documents_per_million <= 30_000


@given(st.lists(st.floats(0, 6e7), max_size=50))
def test_a_large_corpus_gives_the_units_at_its_end_that_hold_enough(last: list[float]) -> None:
    sizes = [6e7] * 80 + last
    split = plan_split(sizes)
    assert split.documents_per_million == 0
    assert sum(sizes[-split.units :]) >= 4 * 2**20
    assert split.units == 1 or sum(sizes[len(sizes) - split.units + 1 :]) < 4 * 2**20


def test_a_leftover_of_a_large_corpus_is_not_all_that_is_held_out() -> None:
    assert plan_split([6.4e7] * 100 + [300.0]).units == 2


def test_about_so_many_documents_are_set_apart() -> None:
    texts = [text.encode() for text in make_texts(20_000, words=5)]
    for share in (5_000, 30_000):
        held_out = sum(is_held_out(text, Split(documents_per_million=share)) for text in texts)
        assert held_out == pytest.approx(share / 1e6 * len(texts), rel=0.25)
    assert not any(is_held_out(text, Split()) for text in texts)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> ShardCache:
    """Texts of which each occurs twice, in different units, with many set apart."""
    folder = tmp_path_factory.mktemp("split")
    recipe = recipe_of(write_jsonl(folder / "a.jsonl", [*make_texts(150), *make_texts(150)]))
    recipe = msgspec.structs.replace(recipe, split=Split(documents_per_million=300_000))
    cache = ShardCache(LocalStore(folder / "store"), recipe)
    pack_into(cache)
    return cache


def held_out_and_training(cache: ShardCache) -> tuple[list[str], list[str]]:
    held_out: list[str] = []
    training: list[str] = []
    decode = cache.recipe.tokenizer.decode
    for unit in range(len(cache.recipe.units)):
        shard = cache.find(unit)
        assert shard is not None
        training += map(decode, documents_of(shard))
        ends = shard.held_out_ends.tolist()
        held_out += [decode(shard.held_out_tokens[a:b].tolist()) for a, b in zip([0, *ends], ends, strict=False)]
    return held_out, training


def test_no_held_out_document_is_trained_on_and_copies_stay_together(half: ShardCache) -> None:
    held_out, training = held_out_and_training(half)
    assert sorted(held_out + training) == sorted([*make_texts(150), *make_texts(150)])
    assert not set(held_out) & set(training)
    assert 60 < len(held_out) < 120
    assert {text for text in make_texts(150) if is_held_out(text.encode(), half.recipe.split)} == set(held_out)


def test_the_split_does_not_know_the_seed(half: ShardCache) -> None:
    assert "seed" not in msgspec.json.encode(half.recipe).decode()


@pytest.fixture(scope="module")
def own_split(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two files of training documents and one that the dataset holds out itself."""
    folder = tmp_path_factory.mktemp("own")
    for number, name in enumerate(("train-0", "train-1", "validation")):
        write_jsonl(folder / f"{name}.jsonl", make_texts(100, seed=number))
    return msgspec.structs.replace(open_corpus(str(folder)), held_out_files=1)


def test_a_datasets_own_held_out_files_are_the_split(own_split: Corpus, tmp_path: Path) -> None:
    recipe = make_recipe(own_split, small_tokenizer())
    assert recipe.split.documents_per_million == 0
    assert {part.file for unit in recipe.units[recipe.training_units :] for part in unit.parts} == {2}
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe)
    pack_into(cache)
    held_out, training = held_out_and_training(cache)
    assert (training, held_out) == ([*make_texts(100), *make_texts(100, seed=1)], make_texts(100, seed=2))


@pytest.mark.parametrize("subset", [1, 50, 130, 200, 1000])
def test_a_subset_keeps_the_whole_of_a_datasets_own_split(own_split: Corpus, tmp_path: Path, subset: int) -> None:
    recipe = make_recipe(own_split, small_tokenizer(), training=subset_units(own_split, subset))
    assert [unit.index for unit in recipe.units] == list(range(len(recipe.units)))
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe)
    pack_into(cache)
    held_out, training = held_out_and_training(cache)
    assert training == [*make_texts(100), *make_texts(100, seed=1)][:subset]
    assert held_out == make_texts(100, seed=2)


def test_text_that_is_only_scored_is_scored_whole(own_split: Corpus) -> None:
    recipe = make_recipe(own_split, small_tokenizer(), split=WHOLE)
    assert (recipe.split, recipe.training_units) == (WHOLE, len(recipe.units))


def test_of_a_large_corpus_the_last_unit_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ten.data.split.LARGE_CORPUS_BYTES", 1)
    monkeypatch.setattr("ten.data.split._HELD_OUT_BYTES", 1)
    texts = make_texts(200)
    recipe = recipe_of(write_jsonl(tmp_path / "a.jsonl", texts))
    assert (recipe.split, recipe.training_units) == (Split(units=1), len(recipe.units) - 1)
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe)
    pack_into(cache)
    held_out, training = held_out_and_training(cache)
    assert training + held_out == texts
    assert held_out
    last = cache.find(recipe.training_units)
    assert last is not None and len(last.tokens) == 0
    data = HeldOut(recipe, PretokFill(cache, ""), seq_len=32, rows=4, max_tokens=10**6)
    assert data.text_bytes == sum(len(text.encode()) for text in held_out)
