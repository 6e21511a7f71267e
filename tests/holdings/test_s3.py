"""Packs in an object store that flips bytes, on their way or where they lie."""

from collections.abc import Iterator

import pytest

from ten.holdings.naming import Holding
from ten.holdings.repair import repair
from ten.holdings.transfer import transfer
from ten.holdings.verify import verify
from ten.store.local import LocalStore
from ten.store.s3 import S3Store
from tests.standins.s3 import S3Stand
from tests.standins.s3_faults import Fault

SHARD = "shards/00001.safetensors"


@pytest.fixture
def store(stand: S3Stand, folder: LocalStore, pack: Holding, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """The pack in a bucket."""
    for name, value in stand.environment().items():
        monkeypatch.setenv(name, value)
    store = S3Store(stand.new_bucket())
    transfer(folder, store, [pack])
    yield store
    store.close()


def damage(store: S3Store, stand: S3Stand, key: str) -> None:
    """Turn a bit of an object where it lies; what is noted of it stays."""
    bucket = store.url.removeprefix("s3://")
    data = bytearray(stand.get(bucket, key))
    data[len(data) // 2] ^= 1
    stand.put(bucket, key, bytes(data))


def test_a_byte_that_is_flipped_on_its_way_is_no_damage(stand: S3Stand, store: S3Store, pack: Holding) -> None:
    stand.add(Fault("wrong_bytes", match=f"GET .*{SHARD}", after=1))
    assert verify(store, [pack]).damaged == ()
    assert "wrong_bytes" in [request.fault for request in stand.log()]


def test_a_shard_that_is_not_what_is_noted_of_it_is_put_aside(stand: S3Stand, store: S3Store, pack: Holding) -> None:
    damage(store, stand, pack.key(SHARD))
    (aside,) = repair(store, verify(store, [pack]).damaged, lambda _: []).repairs
    assert "put aside" in aside.done
    assert store.stat(pack.key(SHARD)) is None
    assert len(store.children(pack.key("damaged"))) == 1


def test_what_is_damaged_at_the_target_is_replaced(
    stand: S3Stand, store: S3Store, folder: LocalStore, pack: Holding
) -> None:
    damage(store, stand, pack.key("manifest.json"))
    transfer(folder, store, [pack])
    assert store.read(pack.key("manifest.json")) == folder.read(pack.key("manifest.json"))
