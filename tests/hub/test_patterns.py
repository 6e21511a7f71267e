"""Globs of dataset cards."""

import pytest

from ten.hub.patterns import below, is_hidden, matching

NAMES = (
    "a.parquet",
    "data/train-00000.parquet",
    "data/train-00001.parquet",
    "data/deep/train-2.jsonl",
    "data/test.jsonl",
    "sample/10BT/000_00000.parquet",
    "sample/10BT/part[1].parquet",
    "sample/10BTx/000_00000.parquet",
    ".hidden/a.parquet",
    "__pycache__/a.parquet",
    "data/.b.parquet",
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("data/train-*", ["data/train-00000.parquet", "data/train-00001.parquet"]),
        ("./data/train-0000?.parquet", ["data/train-00000.parquet", "data/train-00001.parquet"]),
        ("data/train-0000[1-9].parquet", ["data/train-00001.parquet"]),
        ("data/train-0000[!1-9].parquet", ["data/train-00000.parquet"]),
        ("sample/10BT/*", ["sample/10BT/000_00000.parquet", "sample/10BT/part[1].parquet"]),
        ("**/*.jsonl", ["data/deep/train-2.jsonl", "data/test.jsonl"]),
        ("**/a.parquet", ["a.parquet"]),
        ("data/t**", ["data/train-00000.parquet", "data/train-00001.parquet", "data/test.jsonl"]),
        ("data/deep/**", ["data/deep/train-2.jsonl"]),
        ("data/**/train-2.jsonl", ["data/deep/train-2.jsonl"]),
        ("*.parquet", ["a.parquet"]),
        ("a.parquet", ["a.parquet"]),
        ("a?parquet", ["a.parquet"]),
        ("aXparquet", []),
        (".hidden/*", [".hidden/a.parquet"]),
        ("__pycache__/*", ["__pycache__/a.parquet"]),
        ("nothing/*", []),
    ],
)  # fmt: skip
def test_a_pattern_means_what_it_means_to_the_hub(pattern: str, found: list[str]) -> None:
    assert matching(pattern, below("", NAMES)) == found


def test_patterns_are_relative_to_the_configs_folder() -> None:
    inside = below("sample/10BT", NAMES)
    assert inside == {
        "000_00000.parquet": "sample/10BT/000_00000.parquet",
        "part[1].parquet": "sample/10BT/part[1].parquet",
    }
    assert matching("000*", inside) == ["sample/10BT/000_00000.parquet"]
    assert below("./sample/10BT/", NAMES) == inside
    assert below(".", NAMES) == below("", NAMES)


def test_hidden_is_what_begins_with_a_dot_or_lies_in_a_folder_of_two_underscores() -> None:
    assert [name for name in NAMES if is_hidden(name)] == [
        ".hidden/a.parquet",
        "__pycache__/a.parquet",
        "data/.b.parquet",
    ]
    assert not is_hidden("__init__.parquet")
