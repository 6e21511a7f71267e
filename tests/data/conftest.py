"""Fixtures of the data tests: the pack of a small corpus."""

from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.data.pack import pack_all
from ten.data.recipe import Recipe
from ten.store.local import LocalStore
from tests.data.small import recipe_of


@pytest.fixture(autouse=True, scope="module")
def many_units(small_units: None) -> None:
    """A corpus of a few kilobytes still has several units."""


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
