"""What every test stands on: few threads, so that tests side by side do not wait for each other; small corpora."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ten.text import units
from tests.data.small import make_texts, write_jsonl
from tests.standins.s3 import S3Stand

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TEN_ENV_FILE"] = os.devnull  # what a developer keeps in .env is no part of a test
if not Path("/dev/nvidiactl").exists():  # no GPU: Triton's interpreter, chosen before anything imports triton
    os.environ.setdefault("TRITON_INTERPRET", "1")
settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
settings.load_profile("untimed")


@pytest.fixture(scope="module")
def small_units() -> Iterator[None]:
    """Units of 2 KiB instead of 256 KiB, so that a small corpus has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "_MIN_UNIT_TEXT_BYTES", 2048)
        yield


@pytest.fixture(scope="session")
def corpus_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 documents in one JSONL file, some 60 kB."""
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "tales.jsonl", make_texts(300))


@pytest.fixture(scope="session")
def standing() -> Iterator[S3Stand]:
    """An S3 server and a faulty network before it, started when a test first asks for it."""
    with S3Stand() as stand:
        yield stand


@pytest.fixture
def stand(standing: S3Stand) -> S3Stand:
    """The same without faults and with an empty log."""
    standing.clear()
    return standing
