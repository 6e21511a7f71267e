"""Finding a run."""

import os
from pathlib import Path

import pytest

from ten.errors import DataError, MissingInput
from ten.job import load_job
from ten.preparation import Preparation
from ten.runs import find_run
from ten.store.local import LocalStore
from ten.train.run_record import RunRecord, now, write_run


def _make_run(store: Path, name: str, text: Path, checkpointed_at: float | None = None) -> None:
    spec = Preparation(load_job(None, {"data.dataset": str(text), "store": str(store)}, [])).resolved_spec()
    write_run(store / "runs" / name / "run.json", RunRecord(run=name, created=now(), spec=spec, total_tokens=1))
    if checkpointed_at is not None:
        folder = store / "runs" / name / "checkpoints" / "step-00000001"
        folder.mkdir(parents=True)
        (folder / "COMPLETE").write_text("{}")
        os.utime(folder, (checkpointed_at, checkpointed_at))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three runs, one without a checkpoint."""
    text = tmp_path / "a.txt"
    text.write_text("some text")
    _make_run(tmp_path / "store", "old", text, checkpointed_at=100.0)
    _make_run(tmp_path / "store", "new", text, checkpointed_at=200.0)
    _make_run(tmp_path / "store", "empty", text)
    return tmp_path / "store"


def test_without_a_name_the_run_that_was_saved_last_is_found(store: Path) -> None:
    assert find_run(None, LocalStore(store)).record.run == "new"


def test_a_run_is_found_by_id_and_by_folder(store: Path) -> None:
    assert find_run("old", LocalStore(store)).folder == store / "runs" / "old"
    assert find_run(str(store / "runs" / "old"), LocalStore(Path("/elsewhere"))).record.run == "old"


def test_a_run_that_is_not_there_names_the_nearest(store: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="did you mean 'empty'"):
        find_run("emty", LocalStore(store))
    with pytest.raises(MissingInput, match="no runs yet"):
        find_run("any", LocalStore(tmp_path))


def test_the_job_comes_back_whole(store: Path) -> None:
    job = find_run("old", LocalStore(store)).job
    assert job.store == str(store)
    assert Preparation(job).model == Preparation(load_job(None, {}, [])).model


def test_a_lost_tokenizer_is_named(store: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        find_run("old", LocalStore(store)).tokenizer()
