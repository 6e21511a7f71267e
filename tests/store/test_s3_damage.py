"""Bytes that change on their way to an S3 store or back are found out, and sent or fetched again."""

from pathlib import Path

import pytest

from ten.errors import DataError, StoreError
from ten.store.protocol import Store
from tests.standins.s3 import S3Stand
from tests.standins.s3_faults import Fault
from tests.store.s3_objects import BUCKET, LARGE, PREFIX, SMALL, put, sha256

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("checks_md5", [True, False])
@pytest.mark.parametrize(("data", "call"), [(SMALL, "write"), (SMALL, "send"), (LARGE, "send")])
def test_an_object_damaged_on_its_way_in_is_sent_again(
    store: Store, stand: S3Stand, path: Path, checks_md5: bool, data: bytes, call: str
) -> None:
    stand.set(checks_md5=checks_md5)
    stand.add(Fault("wrong_bytes", r"PUT .*/a\b"))
    put(store, path, data, call)
    assert sha256(stand.get(BUCKET, f"{PREFIX}a")) == sha256(data)


@pytest.mark.parametrize("call", ["write", "send"])
def test_an_object_that_always_arrives_damaged_is_an_error(store: Store, stand: S3Stand, path: Path, call: str) -> None:
    stand.set(checks_md5=False)
    stand.add(Fault("wrong_bytes", r"PUT .*/a\b", count=-1))
    with pytest.raises(StoreError, match="/a: "):
        put(store, path, SMALL, call)


@pytest.mark.parametrize("after", [0, 1])
def test_an_object_damaged_on_its_way_out_is_fetched_again(
    store: Store, stand: S3Stand, path: Path, after: int
) -> None:
    stand.put(BUCKET, f"{PREFIX}a", LARGE)
    stand.add(Fault("wrong_bytes", "GET .*/a", after=after))
    heard: list[int] = []
    store.fetch("a", path, sha256=sha256(LARGE), advance=heard.append)
    assert path.read_bytes() == LARGE
    assert sum(heard) == len(LARGE)


def test_an_object_that_always_comes_damaged_is_never_published(store: Store, stand: S3Stand, path: Path) -> None:
    stand.put(BUCKET, f"{PREFIX}a", LARGE)
    stand.add(Fault("wrong_bytes", "GET .*/a", count=-1))
    with pytest.raises(DataError, match="/a: "):
        store.fetch("a", path, sha256=sha256(LARGE))
    assert list(path.parent.iterdir()) == []


def test_what_the_writer_noted_is_held_against_what_arrives(store: Store, stand: S3Stand, path: Path) -> None:
    put(store, path, SMALL, "send")
    damaged = bytes([SMALL[0] ^ 1]) + SMALL[1:]
    stand.put(BUCKET, f"{PREFIX}a", damaged)
    with pytest.raises(DataError, match="/a: "):
        store.fetch("a", path.with_name("again"))
    assert not path.with_name("again").exists()
