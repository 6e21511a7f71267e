"""What an S3 store says no to for good is the right error, with its cure, within seconds, whatever was asked."""

import hashlib
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ten.errors import CredentialsError, MissingInput, ServiceUnavailable, TenError
from ten.store.protocol import Store
from ten.store.s3 import S3Store
from tests.standins.s3 import CANARIES, S3Stand
from tests.standins.s3_faults import Action, Fault

pytestmark = pytest.mark.timeout(60)
SOON_S = 10.0
DATA = b"some bytes"
REFUSALS: dict[str, tuple[type[TenError], str]] = {
    "InvalidAccessKeyId": (CredentialsError, "SPACES_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (CredentialsError, "SPACES_SECRET_ACCESS_KEY"),
    "ExpiredToken": (CredentialsError, "expired"),
    "AccessDenied": (CredentialsError, "ten-test"),
    "RequestTimeTooSkewed": (CredentialsError, "clock is off by (1|2) ?h.* behind"),
    "NoSuchBucket": (ServiceUnavailable, "no bucket 'ten-test'"),
    "PermanentRedirect": (ServiceUnavailable, "ams3"),
    "AuthorizationHeaderMalformed": (ServiceUnavailable, "ams3"),
    "IllegalLocationConstraintException": (ServiceUnavailable, "region"),
}
CALLS: dict[str, Callable[[Store, Path], object]] = {
    "read": lambda store, path: store.read("a"),
    "read_range": lambda store, path: store.read_range("a", 0, 4),
    "fetch": lambda store, path: store.fetch("a", path.with_name("fetched")),
    "write": lambda store, path: store.write("b", DATA),
    "write_new": lambda store, path: store.write_new("b", DATA),
    "send": lambda store, path: store.send("b", path, sha256=hashlib.sha256(DATA).hexdigest()),
    "list": lambda store, path: list(store.list()),
    "children": lambda store, path: store.children("d"),
    "stat": lambda store, path: store.stat("a"),
    "delete": lambda store, path: store.delete("a"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file to send."""
    path = tmp_path / "object"
    path.write_bytes(DATA)
    return path


def opened(address: str, call: str, path: Path) -> object:
    """What a call to a store just opened comes to."""
    with closing(S3Store(address)) as store:
        return CALLS[call](store, path)


def refused(kind: type[TenError], words: str, call: Callable[[], object]) -> None:
    """Hold a call to its error, soon and without a secret."""
    began = time.monotonic()
    with pytest.raises(kind, match=words) as error:
        call()
    assert time.monotonic() - began < SOON_S
    assert not [canary for canary in CANARIES if canary in f"{error.value} {error.value.__cause__!r}"]


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("call", ["read", "send", "children"])
def test_a_refusal_is_named_with_its_cure(
    address: str, stand: S3Stand, path: Path, silent: None, code: str, call: str
) -> None:
    stand.put("ten-test", "some/prefix/a", DATA)
    stand.add(Fault("refuse", code=code, count=-1, seconds=7300))
    kind, words = REFUSALS[code]
    refused(kind, words, lambda: opened(address, call, path))


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "NoSuchBucket"])
@pytest.mark.parametrize("call", CALLS)
def test_a_refusal_in_the_middle_of_a_job_is_too(
    store: Store, stand: S3Stand, path: Path, code: str, call: str
) -> None:
    stand.put("ten-test", "some/prefix/a", DATA)
    stand.add(Fault("refuse", code=code, count=-1))
    kind, words = REFUSALS[code]
    refused(kind, words, lambda: CALLS[call](store, path))


def test_a_part_refused_for_good_leaves_no_upload(store: Store, stand: S3Stand, path: Path) -> None:
    data = bytes(66 * 2**20)
    path.write_bytes(data)
    stand.add(Fault("refuse", r"PUT .*partNumber=2", code="AccessDenied", count=-1))
    digest = hashlib.sha256(data).hexdigest()
    refused(CredentialsError, "ten-test", lambda: store.send("b", path, sha256=digest))
    assert stand.uploads("ten-test") == []
    assert stand.keys("ten-test") == []


@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_never_answers_is_given_up(
    address: str, stand: S3Stand, path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setenv("TEN_PATIENCE", "1s")
    stand.add(Fault("hang", count=-1))
    refused(ServiceUnavailable, "silent.*TEN_PATIENCE", lambda: opened(address, call, path))


@pytest.mark.parametrize("action", ["hang", "reset"])
def test_a_store_that_has_never_answered_is_given_up_long_before_patience_ends(
    address: str, stand: S3Stand, path: Path, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    monkeypatch.setenv("TEN_PATIENCE", "5m")
    stand.add(Fault(action, count=-1))
    refused(ServiceUnavailable, "SPACES_ENDPOINT", lambda: opened(address, "read", path))


def test_a_store_that_stops_answering_is_given_up_when_patience_ends(store: Store, stand: S3Stand) -> None:
    stand.add(Fault("hang", count=-1))
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="TEN_PATIENCE"):
        store.read("a")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("call", CALLS)
def test_a_bucket_that_is_not_there_is_named(address: str, path: Path, call: str) -> None:
    refused(ServiceUnavailable, "no bucket 'ten-nobodys'", lambda: opened("s3://ten-nobodys/x", call, path))


@pytest.mark.parametrize("call", ["read", "read_range", "fetch"])
def test_an_object_that_is_not_there_is_missing_at_once(store: Store, path: Path, call: str) -> None:
    refused(MissingInput, "some/prefix/a: no such object", lambda: CALLS[call](store, path))
    assert not path.with_name("fetched").exists()


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:{port}", "SPACES_ENDPOINT|127.0.0.1"),
        ("http://nobody.invalid", "nobody.invalid"),
        ("https://ten-test.nyc3.digitaloceanspaces.com", "https://nyc3.digitaloceanspaces.com"),
        ("https://ten-test.nyc3.cdn.digitaloceanspaces.com", "https://nyc3.digitaloceanspaces.com"),
        ("https://nyc3.digitaloceanspaces.com/ten-test", "https://nyc3.digitaloceanspaces.com"),
    ],
)
def test_an_endpoint_that_is_none_is_named(
    address: str, path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, words: str
) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SPACES_ENDPOINT", endpoint.format(port=unheard.getsockname()[1]))
        refused(ServiceUnavailable, words, lambda: opened(address, "read", path))


def test_no_keys_are_asked_for_by_name(address: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    refused(CredentialsError, r"SPACES_ACCESS_KEY_ID.*\.env", lambda: opened(address, "read", path))


def test_a_store_does_not_show_its_keys(store: Store) -> None:
    shown = f"{store!r} {store} {store.url} {vars(store)!r}"
    assert not [canary for canary in CANARIES if canary in shown]
