"""Machines that share a store which is no folder, each with files and a cache of its own."""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from ten.feeding import pack
from ten.job import load_job
from ten.preparation import Preparation
from tests.data.small import CountingStore, make_texts, write_jsonl

TALES = "books/tales.jsonl"


class Machine:
    """A working folder and a cache of one machine."""

    def __init__(self, folder: Path, store: CountingStore, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.store, self._patch = folder, store, patch
        folder.mkdir()

    def write(self, texts: int, name: str = TALES) -> Path:
        """A small corpus on this machine."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        return write_jsonl(path, make_texts(texts))

    def job(self, *sets: str, mode: str = "pretok", dataset: str = TALES) -> Preparation:
        """A job on this machine whose parts are not made yet; `settle` makes them here."""
        self._patch.setenv("TEN_CACHE_DIR", str(self.folder / "cache"))
        flags = {"data.dataset": dataset, "store": "s3://bucket/prefix", "mode": mode, "data.engine": "tokenizers"}
        return Preparation(load_job(None, flags, ["data.tokenizer=bpe:300", *sets]))

    def settle(self, *sets: str, mode: str = "pretok", dataset: str = TALES) -> Preparation:
        """A job with its recipe made."""
        job = self.job(*sets, mode=mode, dataset=dataset)
        with chdir(self.folder):
            _ = job.recipe
        return job

    def pack(self, *sets: str, dataset: str = TALES) -> Preparation:
        """Pack what a job reads."""
        job = self.job(*sets, mode="pack", dataset=dataset)
        with chdir(self.folder):
            pack(job)
        return job


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> CountingStore:
    """The store of all machines."""
    store = CountingStore()
    monkeypatch.setattr("ten.dataset.place.open_store", lambda address: store)
    return store


@pytest.fixture
def machine(shared: CountingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Machine]:
    """A new machine of a name."""
    return lambda name: Machine(tmp_path / name, shared, monkeypatch)
