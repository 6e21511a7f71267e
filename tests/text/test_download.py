"""Downloads from the stand-in of the hub: whole, verified, gone on with after any stop, and honest about the rest."""

import hashlib
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from ten import logs
from ten.calls.patience import Patience
from ten.errors import DataError, DiskFull, ServiceUnavailable, SpecError
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from ten.text import download as module
from ten.text.corpus import Corpus, SourceFile
from ten.text.download import download, local_path
from ten.text.foreign import open_local, read_foreign
from ten.text.part_file import part_path
from tests.data.small import wait_until
from tests.standins.hub import Hub, Request
from tests.standins.hub_faults import Fault

BLOCK = 2**16
BIG = random.Random(0).randbytes(10 * BLOCK + 1000)
CONTENT = {"data/a.parquet": BIG, "b.jsonl": b'{"text": "a"}\n' * 100, "data/c.csv": b"text\nfirst\nsecond\n"}
LFS = "data/a.parquet"


def _content_id(name: str, data: bytes) -> str:
    if name == LFS:
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    return f"git:{hashlib.sha1(b'blob %d' % len(data) + bytes(1) + data).hexdigest()}"


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The stand-in with one data set."""
    root = tmp_path_factory.mktemp("hub")
    for name, data in CONTENT.items():
        path = root / "datasets" / "tales" / "grimm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def hub(standin: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The stand-in with nothing wrong; ten blocks are a file."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(module, "_BLOCK_BYTES", BLOCK)
    standin.clear()
    return standin


@pytest.fixture
def transport(hub: Hub) -> Iterator[Transport]:
    """A way to it, with little patience."""
    transport = Transport(Endpoint(url=hub.endpoint), Patience(connect_s=2, silence_s=1, total_s=5))
    yield transport
    transport.close()


@pytest.fixture
def corpus(hub: Hub, transport: Transport) -> Corpus:
    """The data set as the listing has it."""
    found, _ = transport.get_json("/api/datasets/tales/grimm", "the commit")
    commit = found["sha"]
    files = tuple(
        SourceFile(
            name=name,
            path=f"hf://datasets/tales/grimm@{commit}/{name}",
            bytes=len(data),
            probe=_content_id(name, data),
        )
        for name, data in CONTENT.items()
    )
    hub.forget()
    return Corpus(dataset="tales/grimm", slug="grimm", revision=commit, files=files, text_column="text")


def _only(corpus: Corpus, *names: str) -> Corpus:
    return msgspec.structs.replace(corpus, files=tuple(file for file in corpus.files if file.name in names))


def _bodies(requests: list[Request]) -> list[int]:
    """First bytes of the ranges asked for."""
    return sorted(int(request.range.removeprefix("bytes=").split("-")[0]) for request in requests if request.range)


def _assert_whole(found: Corpus) -> None:
    assert {file.name: Path(file.path).read_bytes() for file in found.files} == {
        file.name: CONTENT[file.name] for file in found.files
    }


def test_every_file_is_here_under_its_name_and_the_corpus_stays_the_same(
    corpus: Corpus, transport: Transport, tmp_path: Path
) -> None:
    found = download(corpus, tmp_path, transport)
    _assert_whole(found)
    root = tmp_path / "hub" / "tales--grimm" / corpus.revision
    assert [file.path for file in found.files] == [str(root / name) for name in CONTENT]
    assert (found.fingerprint, found.revision) == (corpus.fingerprint, corpus.revision)
    assert not [*tmp_path.rglob("*.part")]


def test_what_is_here_is_not_asked_for_again(hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path) -> None:
    download(corpus, tmp_path, transport)
    hub.forget()
    offline = Transport(Endpoint(url=hub.endpoint, offline=True), Patience())
    _assert_whole(download(corpus, tmp_path, offline))
    assert hub.log() == []


def test_local_files_stay_where_they_are(transport: Transport, tmp_path: Path) -> None:
    local = SourceFile(name="a.txt", path=str(tmp_path / "a.txt"), bytes=1)
    corpus = Corpus(dataset="a", slug="a", revision="local", files=(local,))
    assert download(corpus, tmp_path / "cache", transport) == corpus
    assert not [*tmp_path.iterdir()]


_DOWNLOAD = """
import sys
import msgspec
from pathlib import Path
from ten.text import download
from ten.text.corpus import Corpus
from ten.hub.endpoint import Endpoint
from ten.calls.patience import Patience
from ten.hub.transport import Transport
download._BLOCK_BYTES = int(sys.argv[4])
corpus = msgspec.json.decode(sys.argv[1], type=Corpus)
transport = Transport(Endpoint(url=sys.argv[3]), Patience())
download.download(corpus, Path(sys.argv[2]), transport)
"""


def _start(corpus: Corpus, folder: Path, hub: Hub) -> "subprocess.Popen[bytes]":
    said = msgspec.json.encode(corpus).decode()
    command = [sys.executable, "-c", _DOWNLOAD, said, str(folder), hub.endpoint, str(BLOCK)]
    return subprocess.Popen(command, env=hub.environment(folder), stderr=subprocess.PIPE)


def _stop_in_the_middle(process: "subprocess.Popen[bytes]", part: Path, *, kill: bool) -> bytes:
    """Stop a download once it has three blocks of the file; what it said."""
    wait_until(lambda: part.exists() and part.stat().st_size >= 3 * BLOCK)
    if kill:
        process.kill()
    else:
        process.send_signal(2)
    said: bytes = process.communicate(timeout=30)[1]
    return said


@pytest.mark.parametrize("kill", [True, False], ids=["kill -9", "ctrl-c"])
def test_a_stopped_download_goes_on_at_its_byte(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path, kill: bool
) -> None:
    corpus = _only(corpus, LFS)
    part = part_path(local_path(corpus.files[0], tmp_path))
    hub.set(throttle=BLOCK)
    said = _stop_in_the_middle(_start(corpus, tmp_path, hub), part, kill=kill)
    assert kill or b"KeyboardInterrupt" in said
    there = part.stat().st_size
    assert there < len(BIG)
    assert part.read_bytes() == BIG[:there]
    hub.clear()
    _assert_whole(download(corpus, tmp_path, transport))
    starts = _bodies(hub.log("cdn"))
    assert starts[0] == there
    assert starts == [*range(there, len(BIG), BLOCK)]


def test_a_second_process_waits_and_fetches_nothing(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path
) -> None:
    corpus = _only(corpus, LFS)
    part = part_path(local_path(corpus.files[0], tmp_path))
    hub.set(throttle=BLOCK)
    with _start(corpus, tmp_path, hub) as first:
        wait_until(lambda: part.exists() and part.stat().st_size > 0)
        hub.set(throttle=0)
        _assert_whole(download(corpus, tmp_path, transport))
        assert first.wait(30) == 0
    assert len(_bodies(hub.log("cdn"))) == 11


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop", LFS, "cdn", count=3),
        Fault("status", LFS, "cdn", status=503, headers={"Retry-After": "0"}),
        Fault("expired", LFS, "cdn", after=2),
        Fault("short", LFS, "cdn", bytes=100),
    ],
    ids=lambda fault: fault.action,
)
def test_what_passes_leaves_no_trace(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path, fault: Fault
) -> None:
    hub.add(fault)
    _assert_whole(download(corpus, tmp_path, transport))


def test_wrong_bytes_are_noticed_and_fetched_once_more(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.add(Fault("wrong_bytes", LFS, "cdn", min_start=5 * BLOCK, bytes=7))
    _assert_whole(download(corpus, tmp_path, transport))
    assert "fetching it again" in caplog.text


def test_wrong_bytes_for_ever_are_an_error_with_both_hashes(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path
) -> None:
    hub.add(Fault("wrong_bytes", LFS, "cdn", bytes=7, count=-1))
    with pytest.raises(
        DataError, match=r"a\.parquet: came twice with another content, at last sha256:[0-9a-f]{64}.*says sha256:"
    ):
        download(corpus, tmp_path, transport)
    target = local_path(corpus.files[0], tmp_path)
    assert not target.exists()
    assert part_path(target).stat().st_size == 0


def test_a_damaged_part_is_thrown_away(hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path) -> None:
    part = part_path(local_path(corpus.files[0], tmp_path))
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(3 * BLOCK))
    _assert_whole(download(corpus, tmp_path, transport))
    assert _bodies(hub.log("cdn"))[:2] == [0, BLOCK]


def test_a_file_that_was_changed_here_is_fetched_again(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    download(corpus, tmp_path, transport)
    target = local_path(corpus.files[1], tmp_path)
    target.write_bytes(CONTENT["b.jsonl"][::-1])
    hub.forget()
    _assert_whole(download(corpus, tmp_path, transport))
    assert f"{target}: its content is not what the hub lists; fetching it again" in caplog.text
    assert all("b.jsonl" in request.path for request in hub.log())


def test_a_host_that_is_gone_is_an_error_and_keeps_the_part(hub: Hub, corpus: Corpus, tmp_path: Path) -> None:
    hub.add(Fault("reset", LFS, "cdn", after=4, count=-1))
    transport = Transport(Endpoint(url=hub.endpoint), Patience(connect_s=0.5, silence_s=0.5, total_s=1))
    with pytest.raises(ServiceUnavailable, match=r"a\.parquet"):
        download(corpus, tmp_path, transport)
    transport.close()
    part = part_path(local_path(corpus.files[0], tmp_path))
    assert part.read_bytes() == BIG[: part.stat().st_size]
    assert threading.active_count() < 20


def test_no_room_is_an_error_before_the_first_byte(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * BLOCK))
    with pytest.raises(DiskFull, match=r"64[12]\.\d KiB wanted, 128\.0 KiB free; .*data\.cache_dir=DIR"):
        download(corpus, tmp_path / "cache", transport)
    assert hub.log() == []
    assert not [*tmp_path.iterdir()]


def test_what_is_here_already_needs_no_room(
    corpus: Corpus, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = part_path(local_path(corpus.files[0], tmp_path))
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG[: 9 * BLOCK])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * BLOCK))
    _assert_whole(download(corpus, tmp_path, transport))


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(
    hub: Hub, corpus: Corpus, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(logs, "REPORT_S", 0.05)
    caplog.set_level(logging.INFO)
    hub.set(throttle=2 * BLOCK)
    download(corpus, tmp_path, transport)
    lines = [record.getMessage() for record in caplog.records if record.name == module.__name__]
    root = tmp_path / "hub" / "tales--grimm" / corpus.revision
    assert lines[0] == f"downloading 642.4 KiB in 3 files to {root}"
    waiting, moving = lines[1], lines[-1]  # the first before any block has come
    assert waiting == "download: 0 B of 642.4 KiB, 0 B/s, nothing has come yet, at data/a.parquet (file 1 of 3)"
    assert re.fullmatch(r"download: .* of 642\.4 KiB, .*/s, .* left, at .* \(file \d of 3\)", moving)


def test_a_format_that_is_read_whole_is_not_told_to_stream(
    corpus: Corpus, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(DiskFull, match=r"data\.cache_dir=DIR \(\.csv files can only be read whole\)$"):
        download(_only(corpus, "data/c.csv"), tmp_path, transport)
    with pytest.raises(DiskFull, match="--streaming"):
        download(_only(corpus, LFS), tmp_path, transport)


@pytest.mark.parametrize("name", ["../../evil", "/evil"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    corpus: Corpus, transport: Transport, tmp_path: Path, name: str
) -> None:
    file = SourceFile(name=name, path=f"hf://datasets/tales/grimm@main/{name}", bytes=1, probe="git:0")
    with pytest.raises((DataError, SpecError), match="evil"):
        download(msgspec.structs.replace(corpus, files=(file,)), tmp_path, transport)


def test_a_hub_file_is_opened_as_a_copy_that_is_gone_afterwards(
    corpus: Corpus, transport: Transport, tmp_path: Path
) -> None:
    file = _only(corpus, "data/c.csv").files[0]
    with open_local(file, transport, tmp_path) as path:
        assert tmp_path in path.parents
        here = msgspec.structs.replace(file, path=str(path))
        assert [*read_foreign(here, "text")] == ["first", "second"]
    assert not [*tmp_path.iterdir()]
