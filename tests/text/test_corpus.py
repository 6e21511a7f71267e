"""Corpus: what a dataset's name leads to."""

import logging
import os
import re
import sysconfig
from pathlib import Path

import msgspec
import pytest

from ten.errors import DataError, MissingInput
from ten.text.corpus import SourceFile, list_corpus
from ten.text.opening import open_corpus
from tests.data.small import make_texts, write_jsonl, write_texts


def names(dataset: object) -> list[str]:
    return [file.name for file in list_corpus(str(dataset)).files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files in two levels, with a few that are no text."""
    root = tmp_path / "My Corpus"
    write_texts(root / "b", ["one", "two"])
    write_jsonl(root / "a.jsonl", ["three"])
    for name in ("README", "notes.md", ".hidden"):
        (root / name).write_bytes(b"not listed")
    return root


def test_a_folder_is_all_files_of_known_formats_below_it(folder: Path) -> None:
    corpus = list_corpus(str(folder))
    assert [file.name for file in corpus.files] == ["a.jsonl", "b/00000.txt", "b/00001.txt"]
    assert (corpus.slug, corpus.bytes) == ("my-corpus", 18 + 6)


def test_a_file_is_itself(folder: Path) -> None:
    assert names(folder / "b" / "00001.txt") == ["00001.txt"]


def test_a_glob_is_what_matches_in_order(folder: Path) -> None:
    assert names(folder / "b" / "*.txt") == ["00000.txt", "00001.txt"]
    assert names(folder / "**" / "*.txt") == ["00000.txt", "00001.txt"]
    assert names(folder / "*" / "0000[1-9].txt") == ["00001.txt"]
    assert names(folder / "**" / "*") == names(folder)


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "part[1].txt"
    path.write_text("text")
    assert names(path) == ["part[1].txt"]


def test_links_are_followed_and_dangling_ones_are_not_files(folder: Path, tmp_path: Path) -> None:
    (folder / "link.txt").symlink_to(folder / "b" / "00000.txt")
    (folder / "dangling.txt").symlink_to(tmp_path / "nowhere.txt")
    assert names(folder) == ["a.jsonl", "b/00000.txt", "b/00001.txt", "link.txt"]
    (tmp_path / "elsewhere").symlink_to(folder)
    assert names(tmp_path / "elsewhere") == names(folder)


@pytest.mark.parametrize("dataset", ["nowhere", "nowhere/*.txt", "nowhere.txt"])
def test_what_is_not_there_is_missing_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingInput, match=f"dataset '{re.escape(dataset)}'"):
        list_corpus(dataset)


def test_a_name_that_is_nothing_comes_with_the_names_there_are() -> None:
    with pytest.raises(MissingInput, match=r"known: ag_news, finewebedu, imdb, .*; or give the hub's namespace/repo"):
        list_corpus("nope")
    with pytest.raises(MissingInput, match=r"did you mean 'openwebtext'\? \(known: ag_news, "):
        list_corpus("openwebtex")


def test_a_name_that_is_nearly_right_is_offered(folder: Path) -> None:
    with pytest.raises(MissingInput, match=rf"registered name; did you mean {folder}\? known: ag_news"):
        list_corpus(str(folder.with_name("My Copus")))


def test_a_files_path_has_no_way_up_in_it(folder: Path) -> None:
    (file, *_) = list_corpus(str(folder / "b" / "..")).files
    assert (file.name, file.path) == ("a.jsonl", str(folder.resolve() / "a.jsonl"))


def test_a_csv_or_json_file_beside_the_data_is_none_of_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "info.json").write_text("{}")
    with caplog.at_level(logging.INFO):
        assert names(folder) == ["a.jsonl", "b/00000.txt", "b/00001.txt"]
    assert "not read, beside the data: 1 file, such as info.json" in caplog.text
    assert names(folder / "info.json") == names(folder / "*.json") == ["info.json"]


def test_json_files_of_lines_are_read_by_the_line(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_bytes(b"")
    (tmp_path / "1.json").write_text('{"text": "one"}\n{"text": "two"}\n')
    corpus = open_corpus(str(tmp_path))
    assert [file.format for file in corpus.files] == [".jsonl", ".jsonl"]
    assert corpus.text_column == "text"
    assert corpus.fingerprint != msgspec.structs.replace(list_corpus(str(tmp_path)), text_column="text").fingerprint
    (tmp_path / "1.json").write_text('[{"text": "one"}, {"text": "two"}]')
    assert [file.format for file in open_corpus(str(tmp_path)).files] == [".json", ".json"]


def test_what_a_corpus_holds_out_can_be_left_away(folder: Path) -> None:
    corpus = msgspec.structs.replace(list_corpus(str(folder)), held_out_files=2)
    assert [file.name for file in corpus.without_held_out().files] == ["a.jsonl"]
    assert corpus.without_held_out().held_out_files == 0


def test_an_empty_folder_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no file there; check the path or quote the glob"):
        list_corpus(str(tmp_path))


@pytest.mark.parametrize("name", ["data.xlsx", "a.jsonl.bz2", "noext"])
def test_an_unknown_suffix_is_an_error_that_names_it_and_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    found = Path(name).suffix or name
    with pytest.raises(DataError, match=rf"no file of a known format \(\.parquet \.jsonl .*; found {found}"):
        list_corpus(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.JSONL", ".jsonl"),
        ("a.jsonl.GZ", ".jsonl.gz"),
        ("a.jsonl.zst", ".jsonl.zst"),
        ("a.b.parquet", ".parquet"),
        ("a.csv", ".csv"),
        ("a.CSV.gz", ".csv.gz"),
        ("a.json.gz", ".json.gz"),
        ("a.csv.zst", ""),
    ],
)
def test_the_suffix_decides_the_format(name: str, format: str) -> None:
    assert SourceFile(name=name, path="", bytes=0).format == format


def test_the_fingerprint_knows_names_contents_order_and_column_but_not_the_place(folder: Path, tmp_path: Path) -> None:
    before = list_corpus(str(folder))
    folder.rename(tmp_path / "moved")
    moved = list_corpus(str(tmp_path / "moved"))
    assert moved.fingerprint == before.fingerprint
    assert moved.files[0].path != before.files[0].path
    assert msgspec.structs.replace(moved, revision="v2").fingerprint == before.fingerprint
    others = [
        msgspec.structs.replace(moved, files=moved.files[::-1]),
        msgspec.structs.replace(moved, files=moved.files[1:]),
        msgspec.structs.replace(moved, text_column="body"),
    ]
    (tmp_path / "moved" / "b" / "00001.txt").write_text("twO")
    others.append(list_corpus(str(tmp_path / "moved")))
    (tmp_path / "moved" / "b" / "00001.txt").rename(tmp_path / "moved" / "b" / "00002.txt")
    others.append(list_corpus(str(tmp_path / "moved")))
    assert len({corpus.fingerprint for corpus in (moved, *others)}) == 1 + len(others)


def test_an_edit_at_either_end_of_a_large_file_changes_the_fingerprint(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", make_texts(2000))
    raw = bytearray(path.read_bytes())
    assert len(raw) > 16 * 4096
    seen = {list_corpus(str(path)).fingerprint}
    for at in (0, 4095, len(raw) - 4096, len(raw) - 1):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        seen.add(list_corpus(str(path)).fingerprint)
    assert len(seen) == 5


def test_the_embedded_corpus_is_the_library_without_what_differs_between_machines() -> None:
    corpus = list_corpus("stdlib")
    listed = [file.name for file in corpus.files]
    assert "ast.py" in listed and "json/decoder.py" in listed
    assert listed == [file.name for file in list_corpus("stdlib").files]
    parts = {part for name in listed for part in name.split("/")}
    assert not parts & {"site-packages", "test", "__pycache__"}
    assert not any(name.startswith("_sysconfigdata") for name in listed)
    assert corpus.revision.startswith("Python 3.")
    assert corpus.files[0].path.startswith(sysconfig.get_path("stdlib"))


def test_a_name_that_is_not_unicode_is_an_error(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/\xff.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(DataError, match="not UTF-8; rename it"):
        list_corpus(str(tmp_path))
