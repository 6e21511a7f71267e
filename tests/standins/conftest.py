"""One stand-in of the hub with every repository, for all tests of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins import hub_corpora
from tests.standins.hub import Hub


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
