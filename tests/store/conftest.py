"""An S3 store behind a faulty network, as this process's environment names it."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ten.store.s3 import S3Store
from tests.standins.s3 import CANARIES, S3Stand

PATIENCE_S = 5.0


@pytest.fixture
def address(stand: S3Stand, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place at the stand-in, which the environment has the keys of."""
    for name, value in stand.environment(TEN_PATIENCE=f"{PATIENCE_S:.0f}s").items():
        monkeypatch.setenv(name, value)
    return f"{stand.bucket()}/some/prefix"


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No key of the store in anything that is logged."""
    caplog.set_level(logging.DEBUG, "ten")
    yield
    assert not [canary for canary in CANARIES if canary in caplog.text]


@pytest.fixture
def store(address: str, stand: S3Stand, silent: None) -> Iterator[S3Store]:
    """The store there, which has answered before."""
    with closing(S3Store(address)) as store:
        assert store.stat("nothing") is None
        stand.clear()
        yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file to send, or where a fetched object goes."""
    return tmp_path / "object"
