"""The stand-ins as their own tests hold them: a hub with every repository, a store with one object."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.standins import hub_corpora
from tests.standins.hub import Hub
from tests.standins.s3 import S3Stand
from tests.standins.s3_clients import BUCKET, DATA, KEY, client_of


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The process."""
    root = tmp_path_factory.mktemp("hub")
    for build in (
        hub_corpora.fineweb_edu, hub_corpora.wikitext, hub_corpora.tinystories, hub_corpora.jsonl_gz,
        hub_corpora.csv_files, hub_corpora.script, hub_corpora.gated, hub_corpora.private, hub_corpora.gpt2,
    ):  # fmt: skip
        build(root)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def hub(served: Hub) -> Hub:
    """The same without faults and with an empty log."""
    served.clear()
    return served


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A client's HF_HOME."""
    return tmp_path / "home"


@pytest.fixture
def shelf(stand: S3Stand) -> S3Stand:
    """The object store with one object."""
    assert stand.bucket(BUCKET) == f"s3://{BUCKET}"
    stand.put(BUCKET, KEY, DATA, {"note": "kept"})
    return stand


@pytest.fixture
def client(shelf: S3Stand) -> Iterator[Any]:
    """Amazon's client of it."""
    with closing(client_of(shelf)) as made:
        yield made


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    """A client that follows nothing and repeats nothing."""
    with urllib3.PoolManager(retries=False, timeout=10) as made:
        yield made
