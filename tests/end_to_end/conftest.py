"""A small real corpus and a tokenizer for it."""

import json
import socket
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ten.text.bpe import train_bpe
from ten.train.metrics import StepMetrics
from tests.end_to_end.bundle import Bundle


@pytest.fixture(scope="session")
def documents() -> list[str]:
    """Some 3 MiB of real text: sources of the standard library."""
    texts: list[str] = []
    size = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        texts.append(path.read_text(encoding="utf-8"))
        size += len(texts[-1])
        if size > 3 * 2**20:
            break
    return texts


@pytest.fixture(scope="session")
def corpus(documents: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents as one JSONL file, which units split by byte ranges."""
    path = tmp_path_factory.mktemp("corpus") / "sources.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer(documents: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE of 600 entries."""
    tree: dict[str, Any] = train_bpe(documents[:20], 600)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


@pytest.fixture
def make_bundle(corpus: Path, tokenizer: Path, tmp_path: Path) -> Callable[[str], Bundle]:
    """A bundle with an empty store of a name."""
    return lambda name: Bundle(tmp_path / name, corpus, tokenizer)


@pytest.fixture
def bundle(make_bundle: Callable[[str], Bundle]) -> Bundle:
    """A bundle with an empty store."""
    return make_bundle("store")


@pytest.fixture
def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def undisturbed(corpus: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StepMetrics]:
    """The metrics of a streaming run that nothing disturbs: what all others must equal."""
    return Bundle(tmp_path_factory.mktemp("undisturbed"), corpus, tokenizer).train("--streaming")
