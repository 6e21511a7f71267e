"""Plain text: a whole file is one document."""

from pathlib import Path

import pytest

from ten.errors import DataError
from ten.text import plain as text_module
from tests.data.small import records


def test_a_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\r\ntwo\n\n日本\x00".encode())
    assert records(tmp_path / "a.txt") == ["one\r\ntwo\n\n日本\x00"]


def test_a_byte_order_mark_is_left_out_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeff\ufefftext".encode())
    assert records(tmp_path / "a.txt") == ["\ufefftext"]


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    assert records(tmp_path / "a.txt") == [""]


def test_invalid_utf8_is_named_by_file_and_byte_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"na\xefve")
    with pytest.raises(DataError, match=r"latin\.txt: invalid UTF-8 at byte 2; .*data\.invalid_text=replace"):
        records(path)
    assert records(path, invalid="replace") == ["na\ufffdve"]


def test_a_file_larger_than_one_text_can_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "MAX_DOCUMENT_BYTES", 3)
    (tmp_path / "a.txt").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"a\.txt: 4 B of plain text is one document here.*write one document a line"):
        records(tmp_path / "a.txt")
