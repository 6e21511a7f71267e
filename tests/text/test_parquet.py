"""Parquet: every row group once; columns, batches, damage."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.errors import DataError
from ten.text.documents import count_records, read_documents, text_column
from tests.data.small import make_texts, recipe_of, records, source, write_parquet


@given(count=st.integers(0, 60), group=st.integers(1, 20), parts=st.integers(1, 30), batch=st.integers(1, 25))
def test_parts_give_each_row_group_once(scratch: Path, count: int, group: int, parts: int, batch: int) -> None:
    texts = make_texts(count, words=2)
    file = source(write_parquet(scratch, texts, group=group))
    split = [list(read_documents(file, part, parts, "text", batch_rows=batch)) for part in range(parts)]
    assert [text for part in split for text in part] == texts
    assert [count_records(file, part, parts) for part in range(parts)] == [len(part) for part in split]


def test_what_is_read_first_is_not_empty(tmp_path: Path) -> None:
    file = source(write_parquet(tmp_path / "a.parquet", make_texts(12), group=10))
    assert [count_records(file, part, 5) for part in range(5)] == [10, 0, 2, 0, 0]


def test_a_page_that_does_not_match_its_checksum_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"this is number {number}" for number in range(100)]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    path.write_bytes(path.read_bytes().replace(b"number 50", b"Xumber 50", 1))
    with pytest.raises(DataError, match="row group 0 does not decode"):
        records(path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parquet") / "a.parquet"


def test_nulls_and_empty_texts_are_given_as_they_are(tmp_path: Path) -> None:
    assert records(write_parquet(tmp_path / "a.parquet", [None, "", "x", None])) == [None, "", "x", None]


def write_table(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_the_text_column_is_the_wanted_one_else_text_else_the_only_one(tmp_path: Path) -> None:
    numbers, words = pa.array([1, 2]), pa.array(["a", "b"])
    two = source(write_table(tmp_path / "two.parquet", text=words, title=words, number=numbers))
    assert text_column(two, None) == "text"
    assert text_column(two, "title") == "title"
    one = source(write_table(tmp_path / "one.parquet", content=words.cast(pa.large_string()), number=numbers))
    assert text_column(one, None) == "content"


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path: Path) -> None:
    numbers, words = pa.array([1, 2]), pa.array(["a", "b"])
    path = write_table(tmp_path / "a.parquet", title=words, body=words, number=numbers)
    there = r"columns of text: title, body; others: number"
    with pytest.raises(DataError, match=rf"a\.parquet: no text column 'text'; {there}"):
        text_column(source(path), "text")
    with pytest.raises(DataError, match=rf"a\.parquet: no text column 'number'; {there}"):
        text_column(source(path), "number")
    with pytest.raises(
        DataError, match=rf"no column named 'text'; choose one with --set data\.text_column=NAME; {there}"
    ):
        text_column(source(path), None)
    only_numbers = write_table(tmp_path / "b.parquet", number=numbers)
    with pytest.raises(DataError, match=r"columns of text: none; others: number"):
        text_column(source(only_numbers), None)


def test_a_nested_column_is_not_taken_for_text_and_a_dot_in_a_name_is_no_nesting(tmp_path: Path) -> None:
    nested = pa.array([{"text": "in"}, {"text": "side"}])
    path = write_table(tmp_path / "a.parquet", **{"meta": nested, "a.b": pa.array(["x", "y"])})
    for wanted in ("meta", "meta.text"):
        with pytest.raises(DataError, match=rf"no text column '{wanted}'; columns of text: a\.b; others: meta"):
            text_column(source(path), wanted)
    assert text_column(source(path), None) == "a.b"
    assert records(path, "a.b") == ["x", "y"]


@pytest.mark.parametrize("column", [{"other": pa.array(["x"])}, {"text": pa.array([5])}])
def test_a_later_file_without_the_text_column_is_named(tmp_path: Path, column: dict[str, pa.Array]) -> None:
    write_parquet(tmp_path / "1.parquet", make_texts(3))
    write_table(tmp_path / "2.parquet", **column)
    corpus = recipe_of(tmp_path).corpus
    assert corpus.text_column == "text"
    with pytest.raises(DataError, match=r"2\.parquet: no text column 'text'"):
        list(read_documents(corpus.files[1], column="text"))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_invalid_utf8_is_named_by_file_and_row_group(tmp_path: Path, kind: pa.DataType) -> None:
    raw = pa.array([b"good", b"ab\xffc", None], pa.binary())
    if kind == pa.large_string():
        raw = raw.cast(pa.large_binary())
    texts = pa.Array.from_buffers(kind, 3, raw.buffers())
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=1)
    with pytest.raises(DataError, match=r"a\.parquet: invalid UTF-8 in row group 1; .*data\.invalid_text=replace"):
        records(tmp_path / "a.parquet")
    assert records(tmp_path / "a.parquet", invalid="replace") == ["good", "ab\ufffdc", None]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_file_is_an_error(tmp_path: Path, share: float) -> None:
    path = write_parquet(tmp_path / "a.parquet", make_texts(200))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw)) + 1])
    for use in (records, lambda path: count_records(source(path)), lambda path: text_column(source(path), None)):
        with pytest.raises(DataError, match=r"a\.parquet: not a whole Parquet file .*fetch it again"):
            use(path)


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", make_texts(200), group=100)
    raw = bytearray(path.read_bytes())
    raw[4:64] = b"\xff" * 60
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.parquet: row group 0 does not decode"):
        records(path)
