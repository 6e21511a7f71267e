"""Which files of a repository are taken: by its card, by the usual rules, or by the layout of an export."""

from collections.abc import Sequence
from typing import Any

import pytest

from ten.errors import DataError, SpecError
from ten.hub.layout import Selection, Wanted, common_folder, is_export, select_files
from ten.text.corpus import FORMATS

FINEWEB = [
    *(f"sample/10BT/{number:03d}_00000.parquet" for number in range(3)),
    "data/CC-MAIN-2024-10/train-00000-of-00002.parquet",
    "README.md",
]
FINEWEB_CARD = [
    {"config_name": "default", "data_files": [{"split": "train", "path": "data/*/*"}]},
    {"config_name": "sample-10BT", "data_files": [{"split": "train", "path": "sample/10BT/*"}]},
]
WIKITEXT = [
    f"{config}/{split}-00000-of-00001.parquet"
    for config in ("wikitext-103-raw-v1", "wikitext-2-raw-v1")
    for split in ("test", "train", "validation")
]
WIKITEXT_CARD = [
    {
        "config_name": config,
        "data_files": [{"split": split, "path": f"{config}/{split}-*"} for split in ("test", "train", "validation")],
    }
    for config in ("wikitext-103-raw-v1", "wikitext-2-raw-v1")
]
TINYSTORIES = [
    "data/train-00001-of-00002-2d5a.parquet",
    "data/train-00000-of-00002-2d5a.parquet",
    "data/validation-00000-of-00001-869c.parquet",
    "TinyStories-train.txt",
    "TinyStories-valid.txt",
    "TinyStoriesV2-GPT4-train.txt",
    ".gitattributes",
]
EXPORT = ["default/train/0001.parquet", "default/train/0000.parquet", "default/test/0000.parquet", ".gitattributes"]


def select(names: Sequence[str], configs: Sequence[Any] | None = None, **wanted: Any) -> Selection:
    return select_files(names, configs, Wanted(repo="ns/repo", formats=FORMATS, **wanted))


def test_the_card_says_what_a_config_is() -> None:
    chosen = select(FINEWEB, FINEWEB_CARD, config="sample-10BT")
    assert chosen.files == tuple(FINEWEB[:3])
    assert chosen.held_out == ()
    assert select(FINEWEB, FINEWEB_CARD) == Selection(config="default", files=(FINEWEB[3],))


def test_a_datasets_validation_split_is_its_held_out_part() -> None:
    chosen = select(WIKITEXT, WIKITEXT_CARD, config="wikitext-103-raw-v1")
    assert chosen.files == ("wikitext-103-raw-v1/train-00000-of-00001.parquet",)
    assert chosen.held_out == ("wikitext-103-raw-v1/validation-00000-of-00001.parquet",)
    chosen = select(WIKITEXT, WIKITEXT_CARD, config="wikitext-103-raw-v1", held_out_split="test")
    assert chosen.held_out == ("wikitext-103-raw-v1/test-00000-of-00001.parquet",)


def test_what_is_trained_on_is_never_held_out() -> None:
    chosen = select(WIKITEXT, WIKITEXT_CARD, config="wikitext-2-raw-v1", split="validation")
    assert chosen.files == ("wikitext-2-raw-v1/validation-00000-of-00001.parquet",)
    assert chosen.held_out == ()


def test_loose_files_beside_shards_are_none_of_the_data() -> None:
    chosen = select(TINYSTORIES)
    assert chosen.files == tuple(sorted(TINYSTORIES[:2]))
    assert chosen.held_out == (TINYSTORIES[2],)
    assert chosen.left_out == ()


def test_the_most_frequent_format_is_taken_and_the_rest_told() -> None:
    names = ["train/a.parquet", "train/b.parquet", "train/notes.txt", "train/image.png"]
    chosen = select(names)
    assert (chosen.files, chosen.left_out) == (("train/a.parquet", "train/b.parquet"), ("train/notes.txt",))
    assert select(["a.txt", "a.parquet"]).files == ("a.parquet",)


def test_compressed_and_plain_lines_are_one_format() -> None:
    names = ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.json"]
    assert select(names).files == tuple(names)


def test_the_librarys_own_json_files_are_no_data() -> None:
    names = ["data.jsonl", "dataset_infos.json", "dataset_dict.json", "deep/state.json"]
    assert select(names).files == ("data.jsonl",)


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ({"data_files": "*.jsonl"}, ("a.jsonl", "b.jsonl")),
        ({"data_files": ["b.jsonl", "a.jsonl", "*.jsonl"]}, ("a.jsonl", "b.jsonl")),
        ({"data_files": [{"split": "train", "path": ["deep/tr*.jsonl", "a.jsonl"]}]}, ("a.jsonl", "deep/train.jsonl")),
        ({"data_files": "*.jsonl", "data_dir": "deep"}, ("deep/test.jsonl", "deep/train.jsonl")),
        ({"data_dir": "deep"}, ("deep/train.jsonl",)),
        ({}, ("deep/train.jsonl",)),
    ],
)
def test_every_form_of_a_cards_entry_is_understood(entry: dict[str, Any], files: tuple[str, ...]) -> None:
    names = ["a.jsonl", "b.jsonl", "deep/train.jsonl", "deep/test.jsonl"]
    assert select(names, [{"config_name": "one", **entry}]).files == files


@pytest.mark.parametrize(
    "entry",
    [
        "one",
        {"data_files": "*.jsonl"},
        {"config_name": "one", "data_files": [{"path": "*"}]},
        {"config_name": "one", "data_files": [{"split": "train", "path": 3}]},
        {"config_name": "one", "data_files": ["*", {"split": "train", "path": "*"}]},
        {"config_name": "one", "data_files": 7},
    ],
)
def test_a_card_that_makes_no_sense_is_an_error_that_quotes_it(entry: Any) -> None:
    with pytest.raises(DataError, match="ns/repo: the configs in its card cannot be understood"):
        select(["a.jsonl"], [entry])


def test_files_elsewhere_are_refused_without_their_signature() -> None:
    card = [{"config_name": "one", "data_files": "https://host/a.jsonl?key=secret"}]
    with pytest.raises(DataError, match=r"files elsewhere: https://host/a.jsonl$"):
        select(["a.jsonl"], card)


def test_a_config_named_by_a_number_is_found() -> None:
    assert select(["a.txt"], [{"config_name": 2023, "data_files": "*"}], config="2023").files == ("a.txt",)


def test_the_default_config_is_the_flagged_then_the_one_so_called_then_the_only() -> None:
    card = [{"config_name": name, "data_files": f"{name}.txt"} for name in ("default", "other")]
    names = ["default.txt", "other.txt"]
    assert select(names, card).config == "default"
    assert select(names, [card[0], {**card[1], "default": True}]).config == "other"
    assert select(names, card[1:]).config == "other"


def test_without_a_default_the_configs_are_listed() -> None:
    with pytest.raises(SpecError, match=r"choose a config, as in ns/repo:wikitext-103-raw-v1; known: .*wikitext-2"):
        select(WIKITEXT, WIKITEXT_CARD)


def test_a_wrong_config_names_the_nearest_and_all() -> None:
    with pytest.raises(SpecError, match=r"no config 'sample-9BT'; did you mean 'sample-10BT'\? \(known: default, sam"):
        select(FINEWEB, FINEWEB_CARD, config="sample-9BT")
    with pytest.raises(SpecError, match="no config 'en': its card has none; leave out :en"):
        select(TINYSTORIES, config="en")


def test_a_folder_does_for_a_config_where_the_card_has_none() -> None:
    names = ["plain_text/train-00000-of-00002.parquet", "plain_text/test-00000-of-00001.parquet", "other/a.parquet"]
    assert select(names, config="plain_text").files == (names[0],)
    assert select(["a.txt"], config="default").files == ("a.txt",)


def test_a_wrong_split_names_the_nearest_and_all() -> None:
    with pytest.raises(SpecError, match=r"ns/repo: no split 'valid'; did you mean 'validation'\? \(known: train, val"):
        select(TINYSTORIES, split="valid")
    with pytest.raises(SpecError, match="ns/repo:default: no split 'test'; known: train"):
        select(FINEWEB, FINEWEB_CARD, split="test")


def test_nothing_to_read_says_what_is_there() -> None:
    with pytest.raises(DataError, match=r"no file of a known format \(.parquet .* for split 'train'; found .md, .tar"):
        select(["README.md", "subsets/a.tar"])
    with pytest.raises(DataError, match="found no file"):
        select(["a.txt"], [{"config_name": "one", "data_files": "b/*"}])
    with pytest.raises(DataError, match=r"found \.zip"):
        select(["a.zip", "a.txt"], [{"config_name": "one", "data_files": "*.zip"}])


def test_an_export_has_its_configs_and_splits_in_folders() -> None:
    assert is_export(EXPORT)
    assert not is_export([*EXPORT, "extra.parquet"])
    assert not is_export([".gitattributes"])
    assert select(EXPORT) == Selection(config="default", files=tuple(sorted(EXPORT[:2])))
    both = [*EXPORT, "other/train/0000.parquet"]
    assert select(both, config="other").files == ("other/train/0000.parquet",)
    assert select(EXPORT, split="test").files == ("default/test/0000.parquet",)
    with pytest.raises(SpecError, match="no config 'en'; known: default"):
        select(EXPORT, config="en")


def test_a_part_of_an_export_is_refused_and_taken_only_by_its_name() -> None:
    names = [f"plain_text/partial-train/{number:04d}.parquet" for number in range(3)]
    with pytest.raises(
        DataError, match=r"ns/repo:plain_text: .* only the beginning of split 'train' \(partial-train\)"
    ):
        select(names)
    assert select(names, split="partial-train").files == tuple(names)


def test_the_common_folder_is_the_deepest_that_holds_all() -> None:
    assert common_folder(["a/b/c.parquet", "a/b/d.parquet"]) == "a/b"
    assert common_folder(["a/b/c.parquet", "a/bc/d.parquet"]) == "a"
    assert common_folder(["a/b/c.parquet", "d.parquet"]) == ""
