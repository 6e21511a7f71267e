"""The length of an epoch, estimated without packing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.data.estimate import epoch_tokens
from ten.data.recipe import Recipe
from ten.store.local import LocalStore
from tests.data.small import make_texts, pack_into, recipe_of, write_jsonl, write_parquet, write_texts

TEXTS = make_texts(2500)
CORPORA: dict[str, Callable[[Path], Path]] = {
    "text": lambda folder: write_texts(folder / "texts", TEXTS[:300]),
    "large text": lambda folder: write_texts(folder / "texts", ["\n".join(TEXTS), "\n".join(TEXTS[:2000])]),
    "jsonl": lambda folder: write_jsonl(folder / "a.jsonl", TEXTS),
    "jsonl with nulls": lambda folder: write_jsonl(folder / "a.jsonl", [x for text in TEXTS for x in (text, None)]),
    "gz": lambda folder: write_jsonl(folder / "a.jsonl.gz", TEXTS),
    "zst": lambda folder: write_jsonl(folder / "a.jsonl.zst", TEXTS),
    "parquet": lambda folder: write_parquet(folder / "a.parquet", TEXTS, group=100),
    "several files": lambda folder: _several(folder / "several"),
}


def _several(folder: Path) -> Path:
    folder.mkdir()
    for number in range(12):
        write_jsonl(folder / f"{number:02d}.jsonl", TEXTS[200 * number : 200 * number + 200])
    return folder


def truth(recipe: Recipe, folder: Path) -> int:
    return pack_into(ShardCache(LocalStore(folder / "store"), recipe)).manifest.tokens


@pytest.mark.parametrize("name", CORPORA)
def test_the_estimate_is_within_a_quarter_of_the_truth(tmp_path: Path, name: str) -> None:
    recipe = recipe_of(CORPORA[name](tmp_path))
    assert epoch_tokens(recipe) == pytest.approx(truth(recipe, tmp_path), rel=0.25)


@pytest.mark.parametrize("name", ["jsonl", "gz", "parquet", "text"])
def test_the_estimate_of_a_subset_is_within_a_quarter_of_the_truth(tmp_path: Path, name: str) -> None:
    recipe = recipe_of(CORPORA[name](tmp_path), subset_size=150)
    assert epoch_tokens(recipe) == pytest.approx(truth(recipe, tmp_path), rel=0.25)


@pytest.mark.parametrize("group", [10, 400, 2500])
def test_the_estimate_of_a_subset_knows_the_size_of_row_groups(tmp_path: Path, group: int) -> None:
    recipe = recipe_of(write_parquet(tmp_path / "a.parquet", TEXTS, group=group), subset_size=150)
    assert epoch_tokens(recipe) == pytest.approx(truth(recipe, tmp_path), rel=0.25)


def test_a_subset_may_end_where_a_part_ends(tmp_path: Path) -> None:
    recipe = recipe_of(write_jsonl(tmp_path / "a.jsonl", ["the river walks by"] * 8192), subset_size=4096)
    assert all(part.records is None and part.parts > 1 for unit in recipe.units for part in unit.parts)
    assert epoch_tokens(recipe) == pytest.approx(truth(recipe, tmp_path), rel=0.25)


def test_the_estimate_is_a_pure_function_of_the_recipe(corpus_path: Path) -> None:
    assert epoch_tokens(recipe_of(corpus_path)) == epoch_tokens(recipe_of(corpus_path))


def test_a_large_corpus_leaves_its_held_out_unit_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ten.data.split.LARGE_CORPUS_BYTES", 1)
    monkeypatch.setattr("ten.data.split._HELD_OUT_BYTES", 1)
    recipe = recipe_of(write_jsonl(tmp_path / "a.jsonl", TEXTS))
    assert recipe.split.units == 1
    assert epoch_tokens(recipe) == pytest.approx(truth(recipe, tmp_path), rel=0.25)


def test_a_corpus_without_text_has_no_tokens(tmp_path: Path) -> None:
    assert epoch_tokens(recipe_of(write_jsonl(tmp_path / "a.jsonl", [None, None]))) == 0
