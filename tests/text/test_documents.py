"""Documents: bad input of every kind ends in an error that names it, or is counted."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.data.pack import pack_all
from ten.errors import DataError, MissingInput
from ten.store.local import LocalStore
from ten.text.documents import count_records, read_documents, text_column
from tests.data.small import (
    documents_of,
    make_texts,
    pack_into,
    recipe_of,
    records,
    source,
    write_jsonl,
    write_parquet,
    write_texts,
)

WRITERS: dict[str, Callable[[Path, Sequence[str | None]], Path]] = {
    "a.parquet": write_parquet,
    "a.jsonl": write_jsonl,
    "a.jsonl.gz": write_jsonl,
    "a.jsonl.zst": write_jsonl,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    texts = [*make_texts(30), None, "", "日本"]
    assert records(WRITERS[name](tmp_path / name, texts)) == texts
    assert count_records(source(tmp_path / name)) == len(texts)
    assert text_column(source(tmp_path / name), None) == "text"


@pytest.mark.parametrize("name", WRITERS)
def test_records_without_text_are_skipped_and_counted(tmp_path: Path, name: str) -> None:
    texts = make_texts(60)
    path = WRITERS[name](tmp_path / name, [*texts[:20], None, "", *texts[20:], ""])
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe_of(path))
    manifest = pack_into(cache).manifest
    assert sum(shard.skipped for shard in manifest.shards) == 3
    assert manifest.documents + sum(shard.held_out_documents for shard in manifest.shards) == 60


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("texts", [[], [None, None], ["", ""]], ids=["no records", "nulls", "empty texts"])
def test_a_corpus_without_text_is_an_error_that_names_it(tmp_path: Path, name: str, texts: list[str | None]) -> None:
    path = WRITERS[name](tmp_path / name, texts)
    with pytest.raises(DataError, match=rf"{name}: empty corpus"):
        pack_into(ShardCache(LocalStore(tmp_path / "store"), recipe_of(path)))


def test_a_folder_of_empty_files_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"texts: empty corpus: no bytes in its 3 files"):
        recipe_of(write_texts(tmp_path / "texts", ["", "", ""]))


def test_an_empty_file_among_others_is_an_empty_document(tmp_path: Path) -> None:
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe_of(write_texts(tmp_path / "texts", ["", "x y", ""])))
    assert [shard.skipped for shard in pack_into(cache).manifest.shards] == [2]


@pytest.mark.parametrize("name", [*WRITERS, "a.txt"])
def test_a_file_that_vanished_after_the_listing_is_missing_input(tmp_path: Path, name: str) -> None:
    path = (
        write_jsonl(tmp_path / name, make_texts(3))
        if name == "a.txt"
        else WRITERS[name](tmp_path / name, make_texts(3))
    )
    file = source(path)
    path.unlink()
    uses: list[Callable[[], object]] = [lambda: list(read_documents(file, column="text"))]
    if name != "a.txt":
        uses += [lambda: [str(count_records(file))], lambda: [text_column(file, None)]]
    for use in uses:
        with pytest.raises(MissingInput, match=rf"{name}: the file has gone since the corpus was listed"):
            use()


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_what_the_system_says_of_a_file_is_passed_on(tmp_path: Path, name: str) -> None:
    path = write_jsonl(tmp_path / name, make_texts(3))
    file = source(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(MissingInput, match=rf"{name}: cannot be read: Is a directory"):
        list(read_documents(file, column="text"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = write_texts(tmp_path, ["x"]) / "00000.txt"
    path.chmod(0)
    with pytest.raises(MissingInput, match=r"00000\.txt: cannot be read: Permission denied"):
        recipe_of(path)


def test_a_wanted_key_that_the_first_record_lacks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"title": "t", "body": null, "meta": {"text": "deep"}, "n": 1}\n')
    there = r"columns of text: title, body; others: meta, n"
    for wanted in ("text", "meta", "meta.text"):
        with pytest.raises(DataError, match=rf"a\.jsonl: no text column '{wanted}'; {there}"):
            text_column(source(path), wanted)
    assert text_column(source(path), "body") == "body"


@pytest.mark.parametrize(
    ("line", "words"), [(b"[1]", "JSON, but no object"), (b"{oops", "no JSON"), (b"\xff", "no JSON")]
)
def test_a_first_line_that_is_no_record_is_named(tmp_path: Path, line: bytes, words: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n" + line + b"\n")
    with pytest.raises(DataError, match=rf"a\.jsonl: line 2 \(at byte 1\) is {words}"):
        text_column(source(tmp_path / "a.jsonl"), None)


def long_document_survives(folder: Path, megabytes: int) -> None:
    text = "a river walks under 日本 42\n" * (megabytes * 2**20 // 27)
    recipe = recipe_of(write_jsonl(folder / "a.jsonl", ["before", text, "after"]))
    cache = ShardCache(LocalStore(folder / "store"), recipe)
    pack_all(cache)
    found = (cache.find(unit) for unit in range(len(recipe.units)))
    lengths = [len(document) for shard in found if shard is not None for document in documents_of(shard)]
    held_out = sum(len(shard.held_out_ends) for unit in range(len(recipe.units)) if (shard := cache.find(unit)))
    assert len(lengths) + held_out == 3
    assert max(lengths) > megabytes * 2**18


def test_a_document_of_five_megabytes_is_packed(tmp_path: Path) -> None:
    long_document_survives(tmp_path, 5)


@pytest.mark.slow
def test_a_document_of_a_hundred_megabytes_is_packed(tmp_path: Path) -> None:
    long_document_survives(tmp_path, 100)
