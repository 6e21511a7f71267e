"""Which corpus a job reads where machines share a store."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from ten.data.published import Packing
from ten.errors import DataError, MissingInput
from ten.feeding import pack
from ten.job import load_job
from ten.preparation import Preparation
from ten.store.memory import MemoryStore
from ten.text.corpus import Corpus, HubRequest, SourceFile
from ten.text.pins import encode_corpus, pin_key
from tests.data.small import CountingStore, make_texts, write_jsonl
from tests.dataset.conftest import TALES, Machine

Machines = Callable[[str], Machine]


def test_an_empty_machine_finds_what_another_packed(
    machine: Machines, shared: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    first, empty = machine("a"), machine("b")
    first.write(40)
    packed = first.pack()
    caplog.clear()  # what is said by then depends on the tests before
    with caplog.at_level(logging.INFO):
        job = empty.settle()
    assert job.recipe.fingerprint == packed.recipe.fingerprint and job.is_packed
    assert job.run_id == packed.run_id == "run-tales-nano"
    assert job.epoch_tokens == packed.epoch_tokens
    assert caplog.messages == [
        f"{TALES}: is not on this machine; what another one packed is read "
        f"(memory://{next(key for key in shared.writes if key.startswith('pins/'))})"
    ]
    listing = next(shared.read(key) for key in shared.writes if key.startswith("pins/"))
    assert str(first.folder).encode() not in listing


def test_a_machine_with_other_files_reads_what_was_packed(machine: Machines, caplog: pytest.LogCaptureFixture) -> None:
    first, other = machine("a"), machine("b")
    first.write(40)
    other.write(41)
    packed = first.pack()
    with caplog.at_level(logging.INFO):
        assert other.settle().recipe.fingerprint == packed.recipe.fingerprint
    assert f"{TALES}: the files here are not those that were packed; what another machine packed is read" in caplog.text
    other.pack()
    assert other.settle().recipe.fingerprint != packed.recipe.fingerprint
    assert first.settle().recipe.fingerprint == packed.recipe.fingerprint, "each has a pack of its own files"
    assert machine("c").settle().recipe.fingerprint == other.settle().recipe.fingerprint, "the last pack wins"


def test_a_machine_with_the_same_files_needs_no_other(machine: Machines, caplog: pytest.LogCaptureFixture) -> None:
    first, same = machine("a"), machine("b")
    first.write(40)
    path = same.write(40)
    first.pack()
    with caplog.at_level(logging.INFO):
        assert same.settle().corpus.files[0].path == str(path)
    assert "another" not in caplog.text


def test_a_pack_under_way_is_found(machine: Machines, shared: CountingStore) -> None:
    first, empty, other = machine("a"), machine("b"), machine("c")
    first.write(40)
    making = first.settle(mode="streaming")
    making.before_packing()
    note = Packing(epoch_tokens=12345, units=1, started=datetime.now(UTC))
    shared.write(f"packs/{making.recipe.pack_name}/packing.json", msgspec.json.encode(note))
    job = empty.settle()
    assert job.recipe.fingerprint == making.recipe.fingerprint
    assert (job.packed_epoch_tokens, job.epoch_tokens, job.is_packed) == (12345, 12345, False)
    assert first.settle(mode="streaming").packed_epoch_tokens is None
    other.write(41)
    other.settle(mode="streaming").before_packing()
    assert empty.settle().recipe.fingerprint == making.recipe.fingerprint, "what begins later takes no reader away"


def test_what_needs_no_text_does_without_the_files(machine: Machines) -> None:
    first, empty = machine("a"), machine("b")
    first.write(40)
    making = first.settle(mode="streaming")
    making.before_packing()
    for mode in ("streaming", "full", "pack"):
        with pytest.raises(MissingInput, match="no such file"):
            empty.settle(mode=mode)
    packed = first.pack()
    for mode in ("streaming", "full"):
        assert empty.settle(mode=mode).recipe.fingerprint == packed.recipe.fingerprint
    with pytest.raises(MissingInput, match=r"no such file.*memory:/ has no pack of it that this job could read"):
        empty.settle(mode="pack")
    with pytest.raises(MissingInput, match=r"tales\.jsonl: has to be read, and lies on another machine"):
        empty.settle("data.tokenizer=bpe:301")
    with pytest.raises(MissingInput, match="no such file"):
        empty.settle("data.text_column=body")


def test_a_finished_pack_is_packed_again_without_its_files(machine: Machines) -> None:
    first, empty = machine("a"), machine("b")
    first.write(40)
    first.pack()
    job = empty.settle(mode="full")
    assert pack(job).packed == 0


def test_a_folder_that_looks_like_a_repository_is_found_elsewhere(machine: Machines) -> None:
    first, empty = machine("a"), machine("b")
    (first.folder / "data").mkdir()
    first.write(40, "data/books/tales.jsonl")
    packed = first.pack(dataset="data/books")
    job = empty.settle(dataset="data/books")
    assert job.recipe.fingerprint == packed.recipe.fingerprint
    assert job.run_id == packed.run_id == "run-books-nano"


def test_a_subset_is_counted_where_the_files_are(machine: Machines) -> None:
    first, empty = machine("a"), machine("b")
    first.write(40)
    packed = first.pack("data.subset_size=7")
    job = empty.settle("data.subset_size=7")
    assert job.recipe.units == packed.recipe.units and job.is_packed
    with pytest.raises(MissingInput, match="lies on another machine"):
        empty.settle("data.subset_size=8")


def over_a_folder(dataset: Path, store: Path, **more: object) -> Preparation:
    flags = {"data.dataset": str(dataset), "store": str(store), "data.engine": "tokenizers", **more}
    return Preparation(load_job(None, flags, ["data.tokenizer=bpe:300", "data.subset_size=30"]))


def test_a_folder_that_is_mounted_elsewhere_is_read_without_the_files(tmp_path: Path) -> None:
    path = Machine(tmp_path / "a", CountingStore(), pytest.MonkeyPatch()).write(40)
    pack(packed := over_a_folder(path, tmp_path / "store"))
    assert sorted(found.name for found in (tmp_path / "store").iterdir()) == ["cache", "packs", "pins"]
    path.unlink()
    (tmp_path / "store").rename(tmp_path / "mounted")
    job = over_a_folder(path, tmp_path / "mounted", mode="pretok")
    assert job.recipe.fingerprint == packed.recipe.fingerprint and job.is_packed


def test_files_that_changed_beside_a_folder_are_not_passed_over(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "a", CountingStore(), pytest.MonkeyPatch())
    path = machine.write(40)
    pack(packed := over_a_folder(path, tmp_path / "store"))
    machine.write(41)
    job = over_a_folder(path, tmp_path / "store", mode="pretok")
    assert job.recipe.fingerprint != packed.recipe.fingerprint and not job.is_packed


class DistantStore(MemoryStore):
    """A store in memory that keeps together what is read at the same time: `rounds` has what took one round trip."""

    def __init__(self) -> None:
        super().__init__("memory:/")
        self.rounds: list[set[str]] = []
        self._lock = threading.Lock()
        self._under_way = 0

    def read(self, key: str) -> bytes:
        """All bytes of an object, after a while."""
        with self._lock:
            if not self._under_way:
                self.rounds.append(set())
            self._under_way += 1
            self.rounds[-1].add(key)
        time.sleep(0.1)
        with self._lock:
            self._under_way -= 1
        return super().read(key)


GRIMM = HubRequest(repo="tales/grimm")


@pytest.fixture
def distant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DistantStore:
    """A distant store in which a hub dataset is pinned."""
    store = DistantStore()
    monkeypatch.setattr("ten.dataset.place.open_store", lambda address: store)
    monkeypatch.setenv("TEN_CACHE_DIR", str(tmp_path))
    file = SourceFile(name="a.parquet", path="", bytes=7, probe="sha256:" + "0" * 64)
    corpus = Corpus(
        dataset="tales/grimm", slug="tales-grimm", revision="1" * 40, files=(file,), text_column="text", asked=GRIMM
    )
    store.write(pin_key(GRIMM, "tales-grimm"), encode_corpus(corpus))
    return store


def _grimm() -> Preparation:
    return Preparation(load_job(None, {"data.dataset": "tales/grimm", "store": "s3://bucket/a", "mode": "pretok"}, []))


def test_a_pinned_corpus_costs_one_round_trip_and_its_manifest_another(distant: DistantStore) -> None:
    job = _grimm()
    _ = job.resolved_spec()
    for _ in range(3):
        assert job.packed_epoch_tokens is None and not job.is_packed and job.manifest is None
    pack_name = job.recipe.pack_name
    assert distant.rounds == [
        {f"runs/{job.run_id}/corpus.json", pin_key(GRIMM, "tales-grimm")},
        {f"packs/{pack_name}/manifest.json"},
        {f"packs/{pack_name}/packing.json"},
    ]


def test_while_a_run_is_looked_for_the_rest_is_settled(distant: DistantStore) -> None:
    job = _grimm()
    distant.write("runs/a/run.json", b"{}")
    with job.settling():
        distant.read("runs/a/run.json")
    settled = [{*keys} for keys in distant.rounds]
    assert settled[0] == {"runs/a/run.json", "runs/run-tales-grimm-nano/corpus.json", pin_key(GRIMM, "tales-grimm")}
    assert len(settled) == 2 and not job.is_packed and len(distant.rounds) == 2
    distant.write(pin_key(GRIMM, "tales-grimm"), b"{")
    broken = _grimm()
    with broken.settling():
        pass
    with pytest.raises(DataError, match="delete it"):
        _ = broken.corpus


def test_a_tokenizer_trained_now_does_not_hide_the_pack_that_it_made(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "tales.jsonl", make_texts(40))
    flags = {"data.dataset": str(path), "store": str(tmp_path / "store"), "data.engine": "tokenizers"}
    job = Preparation(load_job(None, flags, ["data.tokenizer=bpe:300", "mode=full"]))
    assert [job.must_train_tokenizer, job.is_packed] == [True, False]
    pack(job)
    assert [job.must_train_tokenizer, job.is_packed] == [False, True]


def test_a_pack_finished_since_is_seen_by_the_job_that_made_it(machine: Machines, shared: CountingStore) -> None:
    first = machine("a")
    first.write(40)
    job = first.settle(mode="full")
    assert not job.is_packed
    with chdir(first.folder):
        manifest = pack(job).manifest
    shared.reads.clear()
    assert job.manifest == manifest and job.epoch_tokens == manifest.epoch_tokens
    assert shared.reads == []
