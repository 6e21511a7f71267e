"""Corpora: damaged files give texts or an error that names them; plain JSONL gives what a plain reader gives."""

import json
from functools import partial
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from ten.text.corpus import SourceFile
from ten.text.documents import count_records, read_documents, text_column
from ten.text.jsonl import estimate_lines, is_lines
from ten.text.plain import InvalidText
from tests.data.small import make_texts, source, write_jsonl, write_parquet
from tests.fuzz.conftest import Explore
from tests.fuzz.mutations import VALUES, encoded, mutated
from tests.fuzz.refusal import answer_or_refusal

TEXTS = [*make_texts(12), "", None, "a\u2028b"]


def _texts(file: SourceFile, part: int, parts: int, invalid: InvalidText) -> list[str | None]:
    return list(read_documents(file, part, parts, "text", invalid=invalid))


def _read(path: Path) -> None:
    """Everything that is asked of a file, one after another."""
    file = source(path)
    parts = 1 if path.suffix in (".gz", ".zst") else 2
    answer_or_refusal(lambda: text_column(file, None), path)
    answer_or_refusal(lambda: count_records(file, 0, 1), path)
    for invalid in get_args(InvalidText):
        for part in range(parts):
            texts = answer_or_refusal(partial(_texts, file, part, parts, invalid), path)
            assert texts is None or all(text is None or isinstance(text, str) for text in texts)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_damaged_jsonl_file_is_read_or_named(explore: Explore, tmp_path: Path, name: str) -> None:
    path = write_jsonl(tmp_path / name, TEXTS)

    def check(data: bytes) -> None:
        path.write_bytes(data)
        _read(path)
        answer_or_refusal(lambda: is_lines(source(path)), path)
        answer_or_refusal(lambda: estimate_lines(source(path), 3), path)

    explore(mutated(path.read_bytes()) | st.binary(max_size=40), check)


def test_jsonl_of_any_values_is_what_json_reads_or_named(explore: Explore, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"

    def check(trees: list[object]) -> None:
        path.write_bytes(b"".join(encoded(tree) + b"\n" for tree in trees))
        texts = answer_or_refusal(lambda: list(read_documents(source(path), column="text")), path)
        if texts is not None:
            assert texts == [json.loads(line).get("text") for line in path.read_bytes().splitlines()]

    records = st.dictionaries(st.sampled_from(["text", "id", "a"]), VALUES | st.text(), max_size=3)
    explore(st.lists(records | records | VALUES, max_size=4), check)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_damaged_parquet_file_is_read_or_named(explore: Explore, tmp_path: Path, compression: str) -> None:
    path = write_parquet(tmp_path / "a.parquet", TEXTS, group=6)
    pq.write_table(
        pa.table({"text": TEXTS, "id": list(range(len(TEXTS)))}), path, row_group_size=6, compression=compression,
        write_page_checksum=True,
    )  # fmt: skip
    whole = path.read_bytes()

    def check(data: bytes) -> None:
        path.write_bytes(data)
        _read(path)

    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    of_footer = mutated(whole[footer:-8]).map(
        lambda data: whole[:footer] + data + len(data).to_bytes(4, "little") + b"PAR1"
    )
    explore(mutated(whole) | of_footer, check)
