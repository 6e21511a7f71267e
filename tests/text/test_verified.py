"""A downloaded file is hashed once, and again when it was touched."""

import hashlib
import os
from pathlib import Path

import pytest

from ten.text import verified
from ten.text.verified import Verified

CONTENT = b"some bytes"
ID = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file."""
    path = tmp_path / "0123" / "data" / "a.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "0123"


def _refuse(*_: object) -> str:
    raise AssertionError("hashed again")


def test_a_file_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Verified(folder).holds("data/a.parquet", len(CONTENT), ID)
    monkeypatch.setattr(verified, "content_id_of", _refuse)
    assert Verified(folder).holds("data/a.parquet", len(CONTENT), ID)


def test_what_was_touched_is_hashed_again(folder: Path) -> None:
    known = Verified(folder)
    assert known.holds("data/a.parquet", len(CONTENT), ID)
    path = folder / "data" / "a.parquet"
    before = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert not known.holds("data/a.parquet", len(CONTENT), ID)
    path.write_bytes(CONTENT)
    assert Verified(folder).holds("data/a.parquet", len(CONTENT), ID)


@pytest.mark.parametrize(("name", "size"), [("data/a.parquet", 3), ("data/b.parquet", len(CONTENT)), ("data", 4096)])
def test_another_size_or_no_file_is_not_it(folder: Path, name: str, size: int) -> None:
    assert not Verified(folder).holds(name, size, ID)


def test_another_content_id_is_not_it(folder: Path) -> None:
    assert Verified(folder).holds("data/a.parquet", len(CONTENT), ID)
    assert not Verified(folder).holds("data/a.parquet", len(CONTENT), ID.replace(ID[-1], "x"))


def test_two_that_remember_do_not_forget_each_others_files(folder: Path) -> None:
    (folder / "b").write_bytes(CONTENT)
    one, other = Verified(folder), Verified(folder)
    one.remember("data/a.parquet", ID)
    other.remember("b", ID)
    assert (folder.parent / "0123.verified.json").read_text().count(ID) == 2


def test_a_damaged_memory_is_made_again(folder: Path) -> None:
    (folder.parent / "0123.verified.json").write_bytes(b"{")
    assert Verified(folder).holds("data/a.parquet", len(CONTENT), ID)
    assert ID in (folder.parent / "0123.verified.json").read_text()
