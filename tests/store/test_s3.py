"""What only the S3 twin of a store does: parts, notes, versions, races, and services that can less than others."""

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ten.errors import DataError, StoreError
from ten.store import s3_fetch, s3_upload
from ten.store.s3 import S3Store
from tests.standins.s3 import S3Stand
from tests.standins.s3_faults import Fault

BUCKET, PREFIX = "ten-test", "some/prefix"
KIB = 2**10
DATA = random.Random(7).randbytes(700 * KIB)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def s3(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """A store of small parts."""
    monkeypatch.setattr(s3_fetch, "RANGE", 100 * KIB)
    with closing(S3Store(address)) as store:
        yield store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to send."""
    path = tmp_path / "sent"
    path.write_bytes(DATA)
    return path


def test_an_address_and_its_keys_do_not_show(s3: S3Store, address: str) -> None:
    assert s3.url == address
    assert s3.root is None
    assert s3.local_path("a") is None


def test_a_fetch_is_one_request_for_what_fits_into_one(s3: S3Store, stand: S3Stand, tmp_path: Path) -> None:
    stand.put(BUCKET, f"{PREFIX}/a", DATA[: 100 * KIB])
    stand.forget()
    s3.fetch("a", tmp_path / "a")
    assert [(request.method, request.range) for request in stand.log()] == [("GET", "bytes=0-102399")]


def test_a_fetch_asks_for_every_byte_once(s3: S3Store, stand: S3Stand, tmp_path: Path) -> None:
    stand.put(BUCKET, f"{PREFIX}/a", DATA)
    stand.forget()
    heard: list[int] = []
    s3.fetch("a", tmp_path / "a", sha256=SHA256, advance=heard.append)
    assert (tmp_path / "a").read_bytes() == DATA
    assert sum(heard) == len(DATA)
    assert sorted(request.span[0] for request in stand.log()) == [n * 100 * KIB for n in range(7)]
    assert sum(request.sent for request in stand.log()) == len(DATA)


def test_an_object_replaced_in_the_middle_of_a_fetch_is_fetched_anew(
    s3: S3Store, stand: S3Stand, tmp_path: Path
) -> None:
    stand.put(BUCKET, f"{PREFIX}/a", bytes(len(DATA)))
    heard: list[int] = []

    def replace(count: int) -> None:
        heard.append(count)
        if len(heard) == 1:
            stand.put(BUCKET, f"{PREFIX}/a", DATA)

    stand.set(latency_ms=20)
    s3._crew.width = 1
    s3.fetch("a", tmp_path / "a", advance=replace)
    assert (tmp_path / "a").read_bytes() == DATA
    assert sum(heard) == len(DATA)


def test_bytes_damaged_on_their_way_are_fetched_again_once(
    s3: S3Store, stand: S3Stand, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stand.put(BUCKET, f"{PREFIX}/a", DATA, {"sha256": SHA256})
    stand.add(Fault("wrong_bytes", "GET .*/a", min_start=100 * KIB))
    heard: list[int] = []
    s3.fetch("a", tmp_path / "a", advance=heard.append)
    assert (tmp_path / "a").read_bytes() == DATA
    assert sum(heard) == len(DATA)
    assert "a: damaged: its bytes have sha256" in caplog.text
    stand.add(Fault("wrong_bytes", "GET .*/a", count=-1))
    with pytest.raises(DataError, match=r"some/prefix/a: damaged"):
        s3.fetch("a", tmp_path / "b")
    with pytest.raises(DataError, match=r"some/prefix/a: damaged"):
        s3.read("a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_in_parts_arrives_with_its_notes(
    s3: S3Store, stand: S3Stand, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "ONE_PUT", 5 * 2**20)
    monkeypatch.setattr(s3_upload, "PART", 5 * 2**20)  # the least a service takes
    large = DATA * 20
    file.write_bytes(large)
    heard: list[int] = []
    s3.send("a", file, sha256=hashlib.sha256(large).hexdigest(), about="Zwölf Boxkämpfer: 100%", advance=heard.append)
    assert stand.get(BUCKET, f"{PREFIX}/a") == large
    assert sum(heard) == len(large)
    stat = s3.stat("a")
    assert stat is not None
    assert (stat.sha256, stat.about) == (hashlib.sha256(large).hexdigest(), "Zwölf Boxkämpfer: 100%")
    assert stand.uploads(BUCKET) == []


def test_a_note_that_does_not_fit_is_refused(s3: S3Store, stand: S3Stand, file: Path) -> None:
    with pytest.raises(ValueError, match="1900 fit"):
        s3.send("a", file, sha256=SHA256, about="x" * 1901)
    assert stand.keys(BUCKET) == []


@pytest.mark.parametrize("size", [1, 2**24 * 10_000, 2**24 * 10_000 + 1, 5 * 2**40])
def test_parts_are_never_more_than_a_service_takes(size: int) -> None:
    part = s3_upload.part_size(size)
    assert part >= s3_upload.PART
    assert part % 2**20 == 0
    assert -(-size // part) <= 10_000


def test_a_service_that_checks_nothing_is_read_back(s3: S3Store, stand: S3Stand, file: Path) -> None:
    stand.set(checks_md5=False)
    stand.add(Fault("wrong_bytes", "PUT .*/(a|b)"), Fault("wrong_bytes", "PUT .*/c", count=-1))
    s3.write("a", DATA)
    s3.send("b", file, sha256=SHA256)
    assert stand.get(BUCKET, f"{PREFIX}/a") == stand.get(BUCKET, f"{PREFIX}/b") == DATA
    with pytest.raises(StoreError, match="c: what was sent arrives damaged"):
        s3.write("c", DATA)


def test_a_service_that_checks_is_not_read_back_and_asked_only_once(s3: S3Store, stand: S3Stand) -> None:
    for key in "abc":
        s3.write(key, b"x")
    assert [request.method for request in stand.log()] == ["PUT"] * 4  # the first is refused
    assert s3.children("some") == []
    assert [stat.key for stat in s3.list()] == ["a", "b", "c"]


@pytest.mark.parametrize("conditional", [True, False])
def test_of_many_that_create_one_object_at_least_one_hears_so(s3: S3Store, stand: S3Stand, conditional: bool) -> None:
    stand.set(conditional=conditional)
    heard: list[tuple[bytes, bool]] = []

    def create(data: bytes) -> None:
        heard.append((data, s3.write_new("a", data)))

    threads = [threading.Thread(target=create, args=(bytes([number]),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [data for data, is_new in heard if is_new]
    assert s3.read("a") in made
    assert len(made) == 1 or not conditional
    assert not s3.write_new("a", b"later")
    assert s3.read("a") in made
    assert [stat.key for stat in s3.list()] == ["a"]


def test_who_created_an_object_hears_so_though_the_answer_was_lost(s3: S3Store, stand: S3Stand) -> None:
    stand.add(Fault("lost", "PUT .*/a"))
    assert s3.write_new("a", b"mine")
    assert not s3.write_new("a", b"yours")
    assert s3.read("a") == b"mine"


def test_many_pages_are_one_list(s3: S3Store, stand: S3Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"d/{number:02d} ä&/x" for number in range(12)] + ["d/z", "e"]
    for name in names:
        stand.put(BUCKET, f"{PREFIX}/{name}", b"12")
    stand.put(BUCKET, f"{PREFIX}/d/.probe-0", b"left over")
    stand.put(BUCKET, f"{PREFIX}/folder/", b"")
    ask = s3._bucket.ask
    monkeypatch.setattr(s3._bucket, "ask", lambda *args, **wanted: ask(*args, MaxKeys=5, **wanted))
    assert [(stat.key, stat.bytes) for stat in s3.list()] == [(name, 2) for name in sorted(names)]
    assert s3.children("d") == [f"{number:02d} ä&" for number in range(12)] + ["z"]
    assert len(stand.log("GET")) > 4


def test_an_object_of_no_bytes_is_fetched(s3: S3Store, tmp_path: Path) -> None:
    s3.write("empty", b"")
    s3.fetch("empty", tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""
    assert s3.read_range("empty", 0, 0) == b""


def test_a_store_at_the_root_of_a_bucket_is_one_too(address: str, stand: S3Stand) -> None:
    with closing(S3Store(f"s3://{BUCKET}")) as store:
        store.write("x/y", b"1")
        assert store.url == f"s3://{BUCKET}"
        assert stand.keys(BUCKET) == ["x/y"]
        assert store.children("x") == ["y"]
        assert [stat.key for stat in store.list("x")] == ["x/y"]
