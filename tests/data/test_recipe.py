"""The recipe's fingerprint covers everything that decides the bytes, and nothing else."""

import shutil
from pathlib import Path

import msgspec

from ten.data.recipe import Recipe, make_recipe, subset_units
from ten.text.opening import open_corpus
from tests.data.small import make_texts, recipe_of, small_tokenizer, write_jsonl


def test_equal_recipes_have_one_fingerprint_wherever_the_corpus_lies(corpus_path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(corpus_path, tmp_path))
    assert recipe_of(copy).fingerprint == recipe_of(corpus_path).fingerprint
    assert recipe_of(copy).pack_name == f"tales-{recipe_of(copy).fingerprint[:12]}"


def test_whatever_changes_the_bytes_changes_the_fingerprint(corpus_path: Path, tmp_path: Path) -> None:
    corpus = open_corpus(str(corpus_path))
    end = msgspec.structs.replace(small_tokenizer(), end_of_document=7)
    other = write_jsonl(tmp_path / "tales.jsonl", make_texts(300, seed=2))
    recipes = [
        make_recipe(corpus, small_tokenizer()),
        make_recipe(corpus, small_tokenizer(300)),
        make_recipe(corpus, end),
        make_recipe(corpus, small_tokenizer(), training=subset_units(corpus, 100)),
        make_recipe(corpus, small_tokenizer(), training=subset_units(corpus, 101)),
        make_recipe(corpus, small_tokenizer(), invalid_text="replace"),
        make_recipe(corpus, small_tokenizer(), skip_bad=True),
        make_recipe(msgspec.structs.replace(corpus, held_out_files=1), small_tokenizer()),
        make_recipe(msgspec.structs.replace(corpus, text_column="other"), small_tokenizer()),
        recipe_of(other),
    ]
    assert len({recipe.fingerprint for recipe in recipes}) == len(recipes)


def test_a_recipe_travels_as_json(recipe: Recipe) -> None:
    again = msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe)
    assert again == recipe
    assert make_recipe(again.corpus, again.tokenizer).fingerprint == recipe.fingerprint


def test_the_column_is_settled_by_the_first_file_that_has_one(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [])
    (tmp_path / "b.txt").write_text("plain")
    write_jsonl(tmp_path / "c.jsonl", ["x"], column="body")
    assert open_corpus(str(tmp_path)).text_column == "body"
    assert open_corpus(str(tmp_path / "b.txt")).text_column is None
