"""Files at the hub: read by ranges, exact or refused, and packed into the same shards as copies on this disk."""

import gzip
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ten.calls.patience import Patience
from ten.data.cache import ShardCache
from ten.data.pack import pack_all
from ten.data.recipe import Recipe, make_recipe
from ten.data.shards import ShardHeader
from ten.errors import DataError
from ten.hub import transport as transport_module
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport, shared_transport
from ten.store.local import LocalStore
from ten.text import hub_parquet
from ten.text.corpus import Corpus, SourceFile
from ten.text.documents import count_records, read_documents, text_column
from ten.text.download import download
from ten.text.flow import Flow
from ten.text.opening import open_corpus
from tests.data.small import jsonl, make_texts, small_tokenizer, source
from tests.standins import hub_corpora
from tests.standins.hub import ROOT, Hub
from tests.standins.hub_faults import Fault

TALES = "standin/tales"
FIRST = "data/train-00000-of-00002.parquet"
SECOND = "data/train-00001-of-00002.parquet"
GROUPS = 12
"""Row groups of the first file."""
ROWS = 20
"""Rows of each."""
LINES = "standin/lines"
LONG = "standin/long"
"""Files of 2 MB that take several requests, compressed or not."""
BROKEN = "standin/broken"


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The process, with a data set of two Parquet files, one in lines, and one of files that are no good."""
    root = tmp_path_factory.mktemp("hub")
    rows = {FIRST: GROUPS * ROWS, SECOND: 5 * ROWS}
    tales = hub_corpora.parquet_repository(root, TALES, rows, group=ROWS, sentences=16)
    lines = hub_corpora.repository(root, LINES)
    plain = jsonl([*make_texts(3000), None, ""])
    (lines / "train-0.jsonl").write_bytes(plain)
    (lines / "train-1.jsonl.gz").write_bytes(gzip.compress(plain))
    (lines / "train-2.txt").write_bytes(plain)
    long, numbers = hub_corpora.repository(root, LONG), random.Random(0)
    hard = jsonl(numbers.randbytes(10_000).hex() for _ in range(100))
    (long / "train-0.jsonl").write_bytes(hard)
    (long / "train-1.jsonl.gz").write_bytes(gzip.compress(hard, 1))
    (long / "train-2.txt").write_bytes(hard)
    broken, whole = hub_corpora.repository(root, BROKEN), (tales / SECOND).read_bytes()
    for name, content in {
        "cut": whole[:-2000],
        "tiny": whole[:6],
        "footer": whole[:-500] + bytes(492) + whole[-8:],
        "length": whole[:-8] + bytes([255, 255, 255, 127]) + whole[-4:],
        "page": b"<html>" + b" " * 5000 + b"</html>",
    }.items():
        (broken / f"{name}.parquet").write_bytes(content)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def hub(standin: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The same with nothing wrong, and as this process's hub, of which nothing is known yet."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    standin.clear()
    hub_parquet._read_footer.cache_clear()
    patience = Patience(connect_s=5, silence_s=2, total_s=20)
    opened = Transport(Endpoint(url=standin.endpoint), patience)
    monkeypatch.setattr(transport_module, "_shared", (os.getpid(), opened))
    yield standin
    opened.close()


def _file(hub: Hub, repo: str, name: str) -> SourceFile:
    """A file of the stand-in as the hub's listing has it."""
    information, _ = shared_transport().get_json(f"/api/datasets/{repo}", "its commit")
    local = hub.root / "datasets" / repo / name
    address = f"hf://datasets/{repo}@{information['sha']}/{name}"
    return SourceFile(name=name, path=address, bytes=local.stat().st_size, probe="git:0")


def _local(hub: Hub, repo: str, name: str) -> SourceFile:
    return source(hub.root / "datasets" / repo / name)


def _place(hub: Hub, group: int, name: str = FIRST) -> tuple[int, int]:
    """Where the text of a row group lies in its file."""
    with pq.ParquetFile(hub.root / "datasets" / TALES / name) as parquet:
        chunk = parquet.metadata.row_group(group).column(0)
    assert chunk.path_in_schema == "text"
    return chunk.dictionary_page_offset, chunk.dictionary_page_offset + chunk.total_compressed_size


def _range(start: int, stop: int) -> str:
    return f"bytes={start}-{stop - 1}"


def _damaged(hub: Hub, group: int, count: int) -> Fault:
    """Garbage for the text of a row group of the first file, so many times."""
    return Fault("wrong_bytes", match=FIRST, port="cdn", min_start=_place(hub, group)[0], count=count)


def _warm(file: SourceFile) -> None:
    """Have the footer, so that the next fault hits a row group."""
    assert count_records(file) == GROUPS * ROWS


def test_rows_are_those_of_the_file_and_parts_give_each_row_group_once(hub: Hub) -> None:
    there, here = _file(hub, TALES, FIRST), _local(hub, TALES, FIRST)
    texts = list(read_documents(here, column="text"))
    assert list(read_documents(there, column="text")) == texts
    hub.forget()
    for parts in (2, 5, 17):
        split = [list(read_documents(there, part, parts, "text", batch_rows=7)) for part in range(parts)]
        assert list(chain(*split)) == texts
        assert [count_records(there, part, parts) for part in range(parts)] == list(map(len, split))
    assert text_column(there, None) == "text"


def test_only_the_footer_and_the_texts_are_fetched_each_by_one_request(hub: Hub) -> None:
    file = _file(hub, TALES, FIRST)
    hub.forget()
    list(read_documents(file, column="text"))
    footer, *texts = (request.range for request in hub.log("cdn"))
    assert footer.endswith(f"-{file.bytes - 1}")
    assert sorted(texts) == sorted(_range(*_place(hub, group)) for group in range(GROUPS))
    assert len(hub.log("hub")) == 1


def test_the_first_row_waits_for_the_footer_and_one_row_group(hub: Hub) -> None:
    file = _file(hub, TALES, FIRST)
    hub.forget()
    texts = read_documents(file, column="text", flow=Flow(ahead=lambda: 0))
    next(texts)
    texts.close()
    assert [request.range for request in hub.log("cdn")][1:] == [_range(*_place(hub, 0))]
    assert len(hub.log()) == 3


def test_another_column_is_fetched_instead(hub: Hub) -> None:
    there, here = _file(hub, TALES, FIRST), _local(hub, TALES, FIRST)
    _warm(there)
    hub.forget()
    assert list(read_documents(there, column="url")) == list(read_documents(here, column="url"))
    assert sum(request.sent for request in hub.log("cdn")) < 10_000


def test_several_threads_that_open_a_file_fetch_its_footer_once(hub: Hub) -> None:
    file = _file(hub, TALES, FIRST)
    hub.set(latency_ms=100)
    hub.forget()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(count_records, [file] * 4)) == {GROUPS * ROWS}
    assert len(hub.log("cdn")) == 1


def test_garbage_once_is_fetched_again_and_exact(hub: Hub) -> None:
    there, here = _file(hub, TALES, FIRST), _local(hub, TALES, FIRST)
    _warm(there)
    hub.add(_damaged(hub, 3, count=1))
    hub.forget()
    assert list(read_documents(there, column="text")) == list(read_documents(here, column="text"))
    fetched = [request.range for request in hub.log("cdn")]
    (again,) = (place for place in set(fetched) if fetched.count(place) == 2)
    assert again in {_range(*_place(hub, group)) for group in range(3, GROUPS)}


@pytest.mark.parametrize("before_end", [None, 10_000, 1000, 100, 10])
def test_garbage_from_any_byte_on_is_noticed(hub: Hub, before_end: int | None) -> None:
    there, here = _file(hub, TALES, FIRST), _local(hub, TALES, FIRST)
    _warm(there)
    start, stop = _place(hub, 1)
    position = 0 if before_end is None else stop - start - before_end
    hub.add(Fault("wrong_bytes", match=FIRST, port="cdn", min_start=start, bytes=position))
    assert list(read_documents(there, column="text")) == list(read_documents(here, column="text"))


def test_a_footer_that_comes_as_garbage_once_is_fetched_again(hub: Hub) -> None:
    there, here = _file(hub, TALES, FIRST), _local(hub, TALES, FIRST)
    hub.add(Fault("wrong_bytes", match=FIRST, port="cdn"))
    assert list(read_documents(there, column="text")) == list(read_documents(here, column="text"))


def test_garbage_that_stays_is_an_error_that_names_file_and_row_group(hub: Hub) -> None:
    file = _file(hub, TALES, FIRST)
    _warm(file)
    hub.add(_damaged(hub, 7, count=-1))
    texts = read_documents(file, column="text")
    assert len(list(islice(texts, 7 * ROWS))) == 7 * ROWS
    with pytest.raises(DataError, match=rf"@[0-9a-f]+/{FIRST}: row group 7 does not decode .*--skip-bad"):
        next(texts)


def test_with_skip_bad_it_is_left_out_counted_and_named(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = open_corpus(TALES)
    _warm(corpus.files[0])
    hub.add(_damaged(hub, GROUPS - 2, count=-1))
    recipe = make_recipe(corpus, small_tokenizer(), skip_bad=True)
    caplog.set_level(logging.WARNING)
    headers = [header for header, *_ in _packed(recipe, tmp_path / "bad").values()]
    assert sum(header.bad for header in headers) == 2
    said = {record.getMessage() for record in caplog.records if record.name == "ten.text.parquet"}
    for group in (GROUPS - 2, GROUPS - 1):
        assert any(f"{FIRST}: row group {group} does not decode" in line and "skipped" in line for line in said)
    hub.clear()
    whole = [header for header, *_ in _packed(make_recipe(corpus, small_tokenizer()), tmp_path / "good").values()]
    assert sum(header.bad for header in whole) == 0
    records = [sum(header.documents + header.held_out_documents for header in some) for some in (headers, whole)]
    assert records == [(GROUPS + 3) * ROWS, (GROUPS + 5) * ROWS]


@pytest.mark.parametrize("name", ["cut", "tiny", "footer", "length", "page"])
def test_a_file_that_is_half_written_at_the_host_is_named(hub: Hub, name: str) -> None:
    file = _file(hub, BROKEN, f"{name}.parquet")
    with pytest.raises(DataError, match=rf"{name}\.parquet: not a whole Parquet file .*half written.*--revision"):
        list(read_documents(file, column="text"))


def test_a_file_of_another_size_than_the_listing_says_is_named(hub: Hub) -> None:
    file = _file(hub, TALES, FIRST)
    hub.add(Fault("resize", match=FIRST, size=file.bytes - 100, count=-1))
    with pytest.raises(DataError, match=rf"{FIRST}: the file at the host has \d+ bytes and the listing says \d+"):
        list(read_documents(file, column="text"))


@pytest.mark.parametrize("name", ["train-0.jsonl", "train-1.jsonl.gz"])
def test_lines_over_http_are_those_of_the_file_in_any_number_of_parts(hub: Hub, name: str) -> None:
    there, here = _file(hub, LINES, name), _local(hub, LINES, name)
    texts = list(read_documents(here, column="text"))
    assert list(read_documents(there, column="text")) == texts
    for parts in (2, 7) if name.endswith(".jsonl") else ():
        split = [list(read_documents(there, part, parts, "text")) for part in range(parts)]
        assert split == [list(read_documents(here, part, parts, "text")) for part in range(parts)]
        assert list(chain(*split)) == texts


def test_parts_of_lines_fetch_little_more_than_the_file(hub: Hub) -> None:
    file = _file(hub, LONG, "train-0.jsonl")
    hub.forget()
    assert sum(1 for part in range(7) for _ in read_documents(file, part, 7, "text")) == 100
    assert sum(request.sent for request in hub.log()) <= file.bytes + 7 * 2**17


@pytest.mark.parametrize("name", ["train-0.jsonl", "train-1.jsonl.gz", "train-2.txt"])
def test_a_break_in_the_body_costs_no_line(hub: Hub, name: str) -> None:
    there, here = _file(hub, LINES, name), _local(hub, LINES, name)
    hub.add(Fault("drop", match=name), Fault("reset", match=name), Fault("short", match=name))
    assert list(read_documents(there, column="text")) == list(read_documents(here, column="text"))
    assert len([request for request in hub.log() if request.fault]) == 3


_LEAVE = """
import sys
import msgspec
from ten.text.corpus import SourceFile
from ten.text.documents import read_documents
from ten.text.sources import open_source

file = msgspec.json.decode(sys.argv[1], type=SourceFile)
if file.format == ".txt":
    stream = open_source(file)
    assert stream.read(10)
else:
    stream = read_documents(file, column="text")
    assert next(stream)
print("leaving", flush=True)
if sys.argv[2] == "raising":
    sys.exit(0)
"""


@pytest.mark.parametrize("way", ["falling", "raising"])
@pytest.mark.parametrize("name", [FIRST, "train-0.jsonl", "train-1.jsonl.gz", "train-2.txt"])
def test_leaving_in_the_middle_of_a_stream_ends_the_interpreter(hub: Hub, tmp_path: Path, name: str, way: str) -> None:
    file = _file(hub, TALES if name == FIRST else LONG, name)
    begin = _place(hub, 1)[0] if name == FIRST else 1
    port: Any = "cdn" if name == FIRST else "any"  # where the small ones come from
    hub.add(Fault("stall", match=name, port=port, bytes=100, min_start=begin, after=int(name == FIRST), count=-1))
    process = subprocess.Popen(
        [sys.executable, "-c", _LEAVE, json.dumps(_tree(file)), way],
        cwd=ROOT, env=hub.environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline() == "leaving\n"
        left = time.monotonic()
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        assert time.monotonic() - left < 5
        assert [request for request in hub.log() if request.fault]
    finally:
        process.kill()
        process.communicate()


def _tree(file: SourceFile) -> dict[str, Any]:
    return {"name": file.name, "path": file.path, "bytes": file.bytes, "probe": file.probe}


Shards = dict[int, tuple[ShardHeader, dict[str, Any], bytes]]


def _packed(recipe: Recipe, folder: Path, threads: int = 2) -> Shards:
    """A recipe's shards: header, arrays and the bytes of the file."""
    cache = ShardCache(LocalStore(folder), recipe)
    pack_all(cache, engine="tokenizers", threads=threads)
    made: Shards = {}
    for unit in recipe.units:
        shard = cache.find(unit.index)
        assert shard
        names = ("tokens", "document_ends", "held_out_tokens", "held_out_ends", "held_out_bytes")
        arrays = {name: np.array(getattr(shard, name)) for name in names}
        data = (cache.folder / "shards" / f"{unit.index:05d}.safetensors").read_bytes()
        made[unit.index] = shard.header, arrays, data
    return made


def _same_arrays(one: Shards, other: Shards) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(array, other[unit][1][name])
        for unit, (_, arrays, _) in one.items()
        for name, array in arrays.items()
    )


@pytest.mark.parametrize("repo", [TALES, LINES])
def test_shards_from_the_hub_are_those_of_the_same_files_on_disk(hub: Hub, tmp_path: Path, repo: str) -> None:
    corpus = open_corpus(repo, column="text")
    recipe = make_recipe(corpus, small_tokenizer())
    streamed = _packed(recipe, tmp_path / "streamed")
    here = download(corpus, tmp_path / "files", shared_transport())
    downloaded = _packed(make_recipe(here, small_tokenizer()), tmp_path / "downloaded", threads=1)
    assert [data for *_, data in streamed.values()] == [data for *_, data in downloaded.values()]
    local = make_recipe(open_corpus(_folder(hub, repo, corpus, tmp_path), column="text"), small_tokenizer())
    assert local.units == recipe.units
    assert _same_arrays(streamed, _packed(local, tmp_path / "local"))
    assert sum(header.held_out_documents for header, *_ in streamed.values()) > 0


def _folder(hub: Hub, repo: str, corpus: Corpus, tmp_path: Path) -> str:
    """A folder with the files of a corpus."""
    for file in corpus.files:
        target = tmp_path / "plain" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(hub.root / "datasets" / repo / file.name, target)
    return str(tmp_path / "plain")
