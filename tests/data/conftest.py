"""Fixtures of the data tests: corpora of a few kilobytes that still have several units."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ten.data import units
from ten.data.cache import ShardCache
from ten.data.pack import pack_all
from ten.data.recipe import Recipe
from ten.store.local import LocalStore
from tests.data.small import make_texts, recipe_of, write_jsonl

settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="module")
def small_units() -> Iterator[None]:
    """Units of 2 KiB instead of 256 KiB, so that a small corpus has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "_MIN_UNIT_TEXT_BYTES", 2048)
        yield


@pytest.fixture(scope="session")
def corpus_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 documents in one JSONL file, some 60 kB."""
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "tales.jsonl", make_texts(300))


@pytest.fixture
def recipe(corpus_path: Path) -> Recipe:
    """The recipe of that file: several units."""
    return recipe_of(corpus_path)


@pytest.fixture
def cache(recipe: Recipe, tmp_path: Path) -> ShardCache:
    """An empty cache for that recipe, in a folder."""
    return ShardCache(LocalStore(tmp_path / "store"), recipe)


@pytest.fixture
def packed(cache: ShardCache) -> ShardCache:
    """That cache with everything packed."""
    pack_all(cache, engine="tokenizers")
    return cache
