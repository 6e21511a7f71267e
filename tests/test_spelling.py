"""Values, types and names as people write them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ten.spelling import as_yaml, in_words, nearest_beside, shortened


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unset"),
        (True, "true"),
        (0.01, "0.01"),
        ("4m", "4m"),
        ("yes", "'yes'"),
        ([], "[]"),
        ([{"infra": "do/tor1", "use": 1}], "[{infra: do/tor1, use: 1}]"),
        (["A_B"] * 60, f"[{', '.join(['A_B'] * 60)}]"),
    ],
)
def test_a_value_is_written_as_a_job_file_has_it(value: Any, text: str) -> None:
    assert as_yaml(value) == text
    assert value is None or yaml.safe_load(text) == value


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("expected `int | null`, got `str`", "expected a whole number such as 100, got text"),
        ("expected `float | null`, got `str`", "expected a number such as 12.5, got text"),
        ("expected `int` >= 1", "expected a whole number >= 1"),
        ("expected `str`, got `null`", "expected text, got nothing"),
        ("expected `int | str | null`, got `bool`", "expected a whole number or text such as 100, got true or false"),
        ("expected `array`, got `object`", "expected a list such as [a, b], got a mapping"),
        ("expected `str` matching regex '^a$'", "expected text matching regex '^a$'"),
        ("something else", "something else"),
    ],
)
def test_types_are_said_in_words(said: str, words: str) -> None:
    assert in_words(said) == words


def test_what_is_too_long_for_a_message_is_cut() -> None:
    assert shortened("ab") == "ab"
    assert shortened("ab" * 5000) == "ab" * 100 + "…"


def test_the_nearest_name_in_the_same_folder_is_offered(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    assert nearest_beside(tmp_path / "bookz") == f"; did you mean {tmp_path / 'books'}?"
    assert nearest_beside(tmp_path / "zzz") == ""
    assert nearest_beside(tmp_path / "none" / "bookz") == ""
