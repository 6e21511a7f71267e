"""What a job downloads before it is fed."""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ten.calls.patience import Patience
from ten.data.fill import StreamingFill
from ten.data.savings import tell_saved
from ten.data.supply import Supply
from ten.errors import DiskFull, ServiceUnavailable
from ten.feeding import begin_packer, fetched, open_fill, pack
from ten.hub import transport as transport_module
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from ten.job import load_job
from ten.plan import describe_plan, make_plan
from ten.preparation import Preparation
from tests.data.small import CountingStore, make_texts, write_jsonl
from tests.standins import hub_corpora
from tests.standins.hub import Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of this process's own with a dataset of each kind."""
    hub_corpora.csv_files(tmp_path / "hub")
    hub_corpora.wikitext(tmp_path / "hub", rows=20)
    with Hub(tmp_path / "hub") as running:
        opened = Transport(Endpoint(url=running.endpoint), Patience(connect_s=2, silence_s=2, total_s=5))
        monkeypatch.setattr(transport_module, "_shared", (os.getpid(), opened))
        yield running
        opened.close()


def _job(tmp_path: Path, dataset: str, *sets: str) -> Preparation:
    return Preparation(load_job(None, {"data.dataset": dataset, "store": str(tmp_path / "store")}, sets))


def test_a_job_that_streams_says_why_it_downloads(hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job = _job(tmp_path, "standin/csv")
    found = fetched(job).corpus
    folder = job.cache_dir.absolute() / "hub" / "standin--csv" / found.revision
    assert all(Path(file.path).is_relative_to(folder) for file in found.files)
    said = [record.getMessage() for record in caplog.records if record.name == "ten.feeding"]
    assert "standin/csv: .csv files can only be read whole: " in said[0] and said[0].endswith(f"first, to {folder}")
    assert said[1] == f"standin/csv: the raw files lie in {folder}; they may be deleted once all of it is packed"


@pytest.mark.parametrize(("sets", "kept"), [((), False), (("mode=full",), True), (("data.keep_files=true",), True)])
def test_a_plan_says_what_is_read_at_the_hub_and_which_raw_files_stay(
    hub: Hub, tmp_path: Path, sets: tuple[str, ...], kept: bool
) -> None:
    job = _job(tmp_path, "wikitext-103", *sets)
    plan = make_plan(job)
    assert (plan.repository, plan.hub_config) == ("Salesforce/wikitext", "wikitext-103-raw-v1")
    assert (plan.split, plan.text_column, plan.raw_bytes) == ("train", "text", job.corpus.bytes if kept else 0)
    text = describe_plan(plan)
    line = f"Salesforce/wikitext, config wikitext-103-raw-v1, split train, text column text, commit {plan.revision}"
    assert line in text
    assert ("kept in cache_dir" in text) == kept


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Preparation]:
    """Jobs on one machine, over a store that is no folder."""
    store = CountingStore()
    monkeypatch.setattr("ten.dataset.place.open_store", lambda address: store)
    monkeypatch.setenv("TEN_CACHE_DIR", str(tmp_path / "cache"))
    path = write_jsonl(tmp_path / "tales.jsonl", make_texts(9000))
    flags = {"data.dataset": str(path), "store": "s3://bucket/prefix", "data.engine": "tokenizers"}
    return lambda *sets: Preparation(load_job(None, flags, ["data.tokenizer=bpe:300", *sets]))


def _packers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "packer-events"]


@pytest.mark.parametrize("mode", ["pretok", "streaming"])
def test_a_job_that_finds_no_room_leaves_no_packer_behind(remote: Callable[..., Preparation], mode: str) -> None:
    if mode == "pretok":
        pack(remote("mode=pack"))
        shutil.rmtree(remote().cache_dir / "packs")
    with pytest.raises(DiskFull, match=r"data\.cache_limit"):
        open_fill(remote(f"mode={mode}", "data.cache_limit=1KB"))
    assert _packers() == []


def test_what_cannot_be_announced_leaves_no_packer_behind(
    remote: Callable[..., Preparation], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise ServiceUnavailable("memory: is away")

    job = remote("mode=streaming")
    _ = job.recipe
    monkeypatch.setattr(job.store, "write_new", refuse)
    with pytest.raises(ServiceUnavailable, match="is away"):
        open_fill(job)
    assert _packers() == []


def test_full_over_a_store_reads_what_it_has_packed_within_the_disks_limit(remote: Callable[..., Preparation]) -> None:
    fill = open_fill(remote("mode=full"))
    try:
        assert isinstance(fill, StreamingFill)
    finally:
        fill.close()


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_store_that_is_away_at_the_end_fails_nobody_and_holds_nobody_up(
    remote: Callable[..., Preparation],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_silent: bool,
) -> None:
    monkeypatch.setattr("ten.data.savings._LAST_QUESTION_S", 0.1)
    back = threading.Event()

    def fail(key: str) -> bytes:
        if is_silent:
            back.wait(20)
        raise ServiceUnavailable("memory: is away")

    job = remote("mode=full")
    cache = job.open_cache()
    monkeypatch.setattr(job.store, "read", fail)
    try:
        with caplog.at_level(logging.INFO, logger="ten"):
            tell_saved(cache, Supply(pulled=3, pulled_bytes=2000, network_s=1.0))
        assert "nothing was tokenized here" in caplog.text and "3 shards" in caplog.text
        assert not is_silent or not back.is_set()
    finally:
        back.set()


def test_a_packer_is_begun_where_one_will_be_wanted() -> None:
    def begun(*settings: str) -> bool:
        started = begin_packer(load_job(None, {}, settings))
        if started is None:
            return False
        started.close()
        return True

    assert begun("mode=streaming", "store=here") and begun("mode=streaming", "store=s3://a/b")
    assert begun("mode=pretok", "store=s3://a/b")
    assert not begun("mode=pretok", "store=here") and not begun("mode=full", "store=s3://a/b")
