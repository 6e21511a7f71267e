"""An object from one store to another."""

import hashlib
from pathlib import Path

import pytest

from ten.errors import DataError, MissingInput
from ten.store.copying import copy_object
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store

DATA = b"0123456789" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["local", "memory"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "source") if request.param == "local" else MemoryStore("memory:source/")


@pytest.fixture(params=["local", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "target") if request.param == "local" else MemoryStore("memory:target/")


def test_it_arrives_with_its_note_between_any_two_stores(source: Store, target: Store) -> None:
    source.write("a/b", DATA)
    heard: list[int] = []
    copy_object(source, "a/b", target, "c/d", sha256=SHA256, about="kept", advance=heard.append)
    assert target.read("c/d") == DATA
    assert sum(heard) == len(DATA)
    stat = target.stat("c/d")
    assert stat is not None
    assert (stat.sha256, stat.about) in ((SHA256, "kept"), (None, None))


def test_other_bytes_than_those_meant_do_not_arrive(source: Store, target: Store) -> None:
    source.write("a", DATA[1:])
    target.write("a", b"what was there")
    with pytest.raises(DataError, match="sha256"):
        copy_object(source, "a", target, "a", sha256=SHA256)
    assert target.read("a") == b"what was there"
    with pytest.raises(MissingInput):
        copy_object(source, "b", target, "b", sha256=SHA256)
