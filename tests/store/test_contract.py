"""One contract for every store."""

import hashlib
from pathlib import Path

import pytest

from ten.errors import DataError, MissingInput, StoreError
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.opening import open_store
from ten.store.protocol import Store


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        address: str = request.getfixturevalue("address")
        return open_store(address)
    return LocalStore(tmp_path / "not" / "yet") if request.param == "local" else MemoryStore()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keys(store: Store, prefix: str = "") -> list[str]:
    return [stat.key for stat in store.list(prefix)]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 300])
def test_what_is_written_is_read(store: Store, data: bytes) -> None:
    store.write("a/b.bin", data)
    assert store.read("a/b.bin") == data
    stat = store.stat("a/b.bin")
    assert stat is not None
    assert (stat.key, stat.bytes) == ("a/b.bin", len(data))


def test_a_write_replaces(store: Store) -> None:
    store.write("a", b"long before")
    store.write("a", b"now")
    assert store.read("a") == b"now"
    assert keys(store) == ["a"]


def test_a_written_object_does_not_follow_its_buffer(store: Store) -> None:
    buffer = bytearray(b"before")
    store.write("a", bytes(buffer))
    buffer[:] = b"after!"
    assert store.read("a") == b"before"


@pytest.mark.parametrize("key", ["a", "a/b/c.json", "x/y"])
def test_what_is_not_there_is_missing_input_that_names_it(store: Store, key: str) -> None:
    store.write("x", b"an object, not a folder")
    assert store.stat(key) is None
    with pytest.raises(MissingInput, match=f"{key}: no such object"):
        store.read(key)
    with pytest.raises(MissingInput, match=f"{key}: no such object"):
        store.read_range(key, 0, 1)
    store.delete(key)


def test_deleting_removes_one_object(store: Store) -> None:
    store.write("a/1", b"1")
    store.write("a/2", b"2")
    store.delete("a/1")
    store.delete("a/1")
    assert keys(store) == ["a/2"]


@pytest.mark.parametrize(("start", "length"), [(0, 5), (2, 2), (4, 1), (5, 0)])
def test_a_range_is_that_part(store: Store, start: int, length: int) -> None:
    store.write("a", b"01234")
    assert store.read_range("a", start, length) == b"01234"[start : start + length]


@pytest.mark.parametrize(("start", "length"), [(0, 6), (4, 2), (9, 1)])
def test_a_range_past_the_end_is_an_error_not_less(store: Store, start: int, length: int) -> None:
    store.write("a", b"01234")
    with pytest.raises(StoreError, match=f"a: {length} bytes wanted at {start}"):
        store.read_range("a", start, length)


def test_listing_is_by_prefix_in_order_of_keys(store: Store) -> None:
    for key in ["b/1", "a-b/1", "a/b/2", "a/b/1", "a/bc", "ab"]:
        store.write(key, key.encode())
    assert keys(store) == ["a-b/1", "a/b/1", "a/b/2", "a/bc", "ab", "b/1"]
    assert keys(store, "a/b/") == ["a/b/1", "a/b/2"]
    assert keys(store, "a/b") == ["a/b/1", "a/b/2", "a/bc"]
    assert keys(store, "a") == ["a-b/1", "a/b/1", "a/b/2", "a/bc", "ab"]
    assert keys(store, "nothing/here") == []
    assert [stat.bytes for stat in store.list("a/b/")] == [5, 5]


def test_an_empty_store_lists_nothing(store: Store) -> None:
    assert keys(store) == []


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../../up", ".."])
def test_a_key_cannot_leave_the_store(store: Store, key: str) -> None:
    for use in (store.read, store.stat, store.delete, lambda key: store.write(key, b"x")):
        with pytest.raises(StoreError, match="is no key of a store"):
            use(key)
    assert keys(store) == []


def test_a_local_path_is_the_object_where_there_is_one(store: Store) -> None:
    store.write("a/b", b"data")
    path = store.local_path("a/b")
    assert path is None or path.read_bytes() == b"data"


def test_a_file_is_sent_and_fetched_whole(store: Store, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "sent").write_bytes(data)
    sent, fetched = list[int](), list[int]()
    store.send("a/b", tmp_path / "sent", sha256=sha256(data), about="of note", advance=sent.append)
    store.fetch("a/b", tmp_path / "new" / "fetched", sha256=sha256(data), advance=fetched.append)
    assert (tmp_path / "new" / "fetched").read_bytes() == store.read("a/b") == data
    assert sum(sent) == sum(fetched) == len(data)
    stat = store.stat("a/b")
    assert stat is not None
    assert stat.sha256 in (None, sha256(data))
    assert stat.about in (None, "of note")


def test_a_file_that_has_changed_is_not_sent(store: Store, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(b"now")
    with pytest.raises(DataError, match="it has changed"):
        store.send("a", tmp_path / "sent", sha256=sha256(b"then"))
    with pytest.raises(MissingInput, match="not-there"):
        store.send("a", tmp_path / "not-there", sha256=sha256(b""))
    assert keys(store) == []


def test_a_fetched_file_with_another_hash_does_not_appear(store: Store, tmp_path: Path) -> None:
    store.write("a", b"these bytes")
    with pytest.raises(DataError, match="a: damaged"):
        store.fetch("a", tmp_path / "fetched", sha256=sha256(b"others"))
    with pytest.raises(MissingInput, match="b: no such object"):
        store.fetch("b", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_only_what_is_not_there_is_created(store: Store) -> None:
    assert store.write_new("a/b", b"first")
    assert not store.write_new("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_the_names_in_a_folder_are_those_of_its_objects_and_folders(store: Store) -> None:
    for key in ["runs/b/run.json", "runs/a/x/y", "runs/a/z", "runs/c", "runs-old/d", "packs/e"]:
        store.write(key, b"x")
    assert list(store.children("runs")) == ["a", "b", "c"]
    assert list(store.children("runs/a")) == ["x", "z"]
    assert list(store.children("nothing")) == []
