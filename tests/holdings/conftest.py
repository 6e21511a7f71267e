"""A folder with a pack and a run, and stores of every kind to hold copies of them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shutil import copytree

import pytest

from ten.data.cache import ShardCache
from ten.holdings.naming import Holding, find_all
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store
from ten.train.checkpoint_files import publish
from ten.train.run_record import RunRecord, write_run
from tests.data.small import pack_into, recipe_of

STEPS = (100, 200)


@pytest.fixture(scope="session")
def made(corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder, made once."""
    from ten.text import units

    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "_MIN_UNIT_TEXT_BYTES", 2048)
        pack_into(ShardCache(LocalStore(root), recipe_of(corpus_path)))
    folder = root / "runs" / "train-tales-nano"
    for step in STEPS:
        content = {"model.safetensors": bytes([step]) * 5000, "state.json": b"{}"}
        files = {name: partial(iter, [data]) for name, data in content.items()}
        publish(folder / "checkpoints", step, files, expected_bytes=0)
    created = datetime(2026, 1, 2, tzinfo=UTC)
    write_run(folder / "run.json", RunRecord(run=folder.name, created=created, spec={}, total_tokens=9))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "metrics.jsonl").write_text("".join(json.dumps({"step": step}) + "\n" for step in STEPS))
    yield root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> LocalStore:
    """A copy of it that a test may damage."""
    return LocalStore(Path(copytree(made, tmp_path / "near")))


@pytest.fixture(params=["local", "memory"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store with nothing in it."""
    return LocalStore(tmp_path / "far") if request.param == "local" else MemoryStore("memory:far/")


@pytest.fixture
def pack(folder: LocalStore) -> Holding:
    """The pack."""
    return next(holding for holding in find_all(folder) if holding.kind == "pack")


@pytest.fixture
def run(folder: LocalStore) -> Holding:
    """The run."""
    return next(holding for holding in find_all(folder) if holding.kind == "run")
