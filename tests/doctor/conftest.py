"""A job over a small corpus and a folder, as the doctor sees it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.doctor.subject import Subject
from ten.doctor.whereabouts import Whereabouts
from ten.job import load_job
from tests.standins.s3 import S3Stand

MakeSubject = Callable[..., Subject]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No account, store, hub or engine of whoever runs the tests."""
    for name in os.environ:
        if name.startswith(("DIGITALOCEAN_", "SPACES_", "AWS_", "HF_", "TEN_STORE", "TEN_CACHE", "TEN_IMAGE")):
            monkeypatch.delenv(name)


@pytest.fixture
def make_subject(corpus_path: Path, tmp_path: Path) -> MakeSubject:
    """A subject with settings of one's own, on a machine without an engine."""

    def make(*sets: str, store: str | None = None) -> Subject:
        flags = {
            "data.dataset": str(corpus_path), "store": store or str(tmp_path / "store"), "data.seq_len": 16,
            "data.cache_dir": str(tmp_path / "cache"),
        }  # fmt: skip
        subject = Subject(load_job(None, flags, ["data.tokenizer=gpt2", *sets]))
        subject.where = Whereabouts(kind="machine")
        return subject

    return make


@pytest.fixture
def address(stand: S3Stand, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place at the stand-in of an object store, which the environment has the keys of."""
    for name, value in stand.environment(TEN_PATIENCE="3s").items():
        monkeypatch.setenv(name, value)
    return f"{stand.new_bucket()}/some/prefix"
