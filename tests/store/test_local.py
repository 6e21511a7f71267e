"""A folder as a store: atomic, durable, and plain about what is wrong."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from ten.errors import DiskFull, StoreError
from ten.store.durable import write_atomically, writing
from ten.store.local import LocalStore


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def no_room(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(DiskFull, match=r"no room to write: 3 B wanted, .* free; free some, or name another place"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", b"data")
    assert not [*tmp_path.iterdir()]


def test_what_a_killed_writer_left_is_no_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    store.write("a/shard.safetensors", b"whole")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        store.write("a/shard.safetensors", b"half")
    assert len([*(tmp_path / "a").iterdir()]) == 2
    assert [stat.key for stat in store.list()] == ["a/shard.safetensors"]
    assert store.read("a/shard.safetensors") == b"whole"
    assert [path.name for path in (tmp_path / "a").glob("*.safetensors")] == ["shard.safetensors"]


def test_writers_of_one_key_do_not_meet(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    contents = [bytes([number]) * 100_000 for number in range(8)]
    failures: list[BaseException] = []

    def write(data: bytes) -> None:
        try:
            for _ in range(10):
                store.write("same", data)
                assert store.read("same") in contents
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(data,)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [stat.bytes for stat in store.list()] == [100_000]


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, DiskFull, "no room to write"),
        (errno.EDQUOT, DiskFull, "no room to write"),
        (errno.EACCES, DiskFull, "no permission to write"),
        (errno.EROFS, DiskFull, "no permission to write"),
        (errno.ENOTDIR, DiskFull, "cannot write there"),
        (errno.EIO, StoreError, "cannot be written: Input/output error"),
    ],
)
def test_the_systems_errors_become_ones_that_say_what_to_do(
    tmp_path: Path, code: int, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words), writing(tmp_path / "a", 2**20):
        raise OSError(code, os.strerror(code))


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(DiskFull, match=r"data.*cannot write there"):
        LocalStore(tmp_path / "data").write("a/b", b"x")


def test_a_folder_is_no_object(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("a/b", b"x")
    assert store.stat("a") is None
    with pytest.raises(StoreError, match="a: cannot be read: Is a directory"):
        store.read("a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DiskFull, match="no permission to write"):
            LocalStore(tmp_path).write("a", b"x")
    finally:
        tmp_path.chmod(0o700)


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    LocalStore(Path("~/data")).write("a", b"x")
    assert (tmp_path / "data" / "a").read_bytes() == b"x"
