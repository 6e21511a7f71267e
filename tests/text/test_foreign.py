"""CSV, JSON and Arrow files: every text as it stands, in order, or an error that names the file."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pytest

from ten.calls.patience import Patience
from ten.errors import DataError
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from ten.text.corpus import FOREIGN, SourceFile
from ten.text.foreign import count_foreign, foreign_columns, open_local, read_foreign
from tests.data.small import make_texts, run_python, source

TEXTS = [*make_texts(700), "NA", "null", "007", "1", "", 'a, "b"\tc\nd\r\ne', "日本 🙂"]


def _cells(texts: list[str], separator: str) -> bytes:
    rows = [("label", "text"), *((str(number), text) for number, text in enumerate(texts))]
    quoted = (separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    return "".join(f"{line}\n" for line in quoted).encode()


def _lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"label": number, "text": text}) + "\n" for number, text in enumerate(texts)).encode()


def _array(texts: list[str]) -> bytes:
    return json.dumps([{"label": number, "text": text} for number, text in enumerate(texts)]).encode()


def _arrow(new: Callable[..., pa.ipc.RecordBatchStreamWriter]) -> Callable[[list[str]], bytes]:
    def encode(texts: list[str]) -> bytes:
        table = pa.table({"label": list(range(len(texts))), "text": texts})
        sink = pa.BufferOutputStream()
        with new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
        return bytes(sink.getvalue())

    return encode


FORMATS: dict[str, Callable[[list[str]], bytes]] = {
    "a.csv": lambda texts: _cells(texts, ","),
    "a.csv.gz": lambda texts: gzip.compress(_cells(texts, ",")),
    "a.tsv": lambda texts: _cells(texts, "\t"),
    "lines.json": _lines,
    "lines.json.gz": lambda texts: gzip.compress(_lines(texts)),
    "array.json": _array,
    "file.arrow": _arrow(pa.ipc.new_file),
    "stream.arrow": _arrow(pa.ipc.new_stream),
}


def _write(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    return source(path)


@pytest.mark.parametrize("name", FORMATS)
def test_texts_come_as_they_are_and_in_order(tmp_path: Path, name: str) -> None:
    file = _write(tmp_path / name, FORMATS[name](TEXTS))
    assert foreign_columns(file) == (["text"], ["label"])
    assert [*read_foreign(file, "text")] == TEXTS
    assert [*read_foreign(file, "text")] == TEXTS
    assert count_foreign(file) == len(TEXTS)
    assert count_foreign(file, limit=5) == 5


def test_every_format_is_tested() -> None:
    assert {suffix for suffix in FOREIGN if any(name.endswith(suffix) for name in FORMATS)} == {*FOREIGN}


def test_nulls_are_none(tmp_path: Path) -> None:
    lines = _write(tmp_path / "a.json", b'{"text": null}\n{"text": "a"}\n{"text": null}\n')
    assert [*read_foreign(lines, "text")] == [None, "a", None]


def test_a_path_full_of_patterns_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "[a]*" / ".hidden"
    folder.mkdir(parents=True)
    assert [*read_foreign(_write(folder / "x[0]?.csv", b"text\nabc\n"), "text")] == ["abc"]


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_file_has_no_records(tmp_path: Path, name: str) -> None:
    file = _write(tmp_path / name, b"")
    assert (foreign_columns(file), [*read_foreign(file, "text")], count_foreign(file)) == (([], []), [], 0)


def test_a_column_of_numbers_in_csv_is_text_when_it_is_asked_for(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.csv", b"text,n\n007,1\n08,2\n")
    assert foreign_columns(file) == ([], ["text", "n"])
    assert [*read_foreign(file, "text")] == ["007", "08"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", gzip.compress(b"text\n" + b"abc\n" * 1000, mtime=0)[:-12], "cannot be read as .csv.gz"),
        ("a.csv", b'text,n\n"abc,1\n', "EOF inside string"),
        ("a.csv", b"text,n\nabc,1\nabc,1,2\n", "Expected 2 fields"),
        ("a.csv", b"text,n\nabc,1,2\nabc,1,2\n", "more fields than its first line has names"),
        ("a.csv", b"text\n\xff\n", "invalid UTF-8"),
        ("a.json", b'{"text": "a"}\n{"text": \n', "cannot be read as .json"),
        ("a.json", b'{"text": "a"}\n{"text": {"a": 1}}\n', "cannot be read as .json"),
        ("a.json", b'{"text": "\xff"}\n', "invalid UTF-8"),
        ("a.json", b'[{"text": 1}, {"text": 2}]', "'text' holds int, where text was expected"),
        ("a.json", b'{"body": "a"}\n', "no text column 'text'"),
        ("a.csv", b"body\na\n", "no text column 'text'"),
        ("a.arrow", b"nonsense", "cannot be read as .arrow"),
        ("a.arrow", FORMATS["file.arrow"](TEXTS)[:-300], "cannot be read as .arrow"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    file = _write(tmp_path / name, content)
    with pytest.raises(DataError, match=rf"{name}.*{words}"):
        [*read_foreign(file, "text")]


@pytest.mark.parametrize(("name", "content"), [("a.csv", b"text\na\xff\n"), ("a.json", b'{"text": "a\xff"}\n')])
def test_invalid_bytes_are_replaced_where_the_job_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    file = _write(tmp_path / name, content)
    assert [*read_foreign(file, "text", "replace")] == ["a\ufffd"]
    assert (foreign_columns(file), count_foreign(file)) == ((["text"], []), 1)


def test_a_file_that_has_gone_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        [*read_foreign(SourceFile(name="a.csv", path=str(tmp_path / "a.csv"), bytes=5), "text")]


def test_a_local_file_is_opened_where_it_lies(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.csv", b"text\na\n")
    with open_local(file, Transport(Endpoint(), Patience())) as path:
        assert path == tmp_path / "a.csv"
    assert path.exists()


_STOPPED = """
import os, resource, sys
from ten.text.corpus import FOREIGN, SourceFile
from ten.text.foreign import read_foreign
early = {"datasets", "pandas", "urllib3"} & {*sys.modules}
texts = read_foreign(SourceFile(name=sys.argv[1], path=sys.argv[1], bytes=1), "text")
print(next(texts), sorted(early), "torch" in sys.modules)
"""


@pytest.mark.parametrize("name", ["a.csv", "lines.json", "stream.arrow"])
def test_a_process_that_stops_reading_ends_well_and_never_imports_torch(tmp_path: Path, name: str) -> None:
    file = _write(tmp_path / name, FORMATS[name](["first", *make_texts(20_000)]))
    home = tmp_path / "home"
    said = run_python(_STOPPED, file.path, HF_HOME=str(home), HF_ENDPOINT="http://127.0.0.1:1", TMPDIR=str(tmp_path))
    assert said.split() == ["first", "[]", "False"]
    assert not home.exists()
    assert {path.name for path in tmp_path.iterdir()} == {name}
