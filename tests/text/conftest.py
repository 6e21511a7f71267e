"""Fixtures of the text tests."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def many_units(small_units: None) -> None:
    """A corpus of a few kilobytes still has several units."""
