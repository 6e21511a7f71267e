"""Finding a run."""

import os
from pathlib import Path

import pytest

from ten.errors import DataError, MissingInput
from ten.job import load_job
from ten.preparation import Preparation
from ten.runs import find_run, run_folder
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.train.checkpoint_files import find_newest
from ten.train.mirror import Mirror
from ten.train.run_record import RunRecord, now, write_run
from ten.train.stopping import StopRequest
from ten.train.stored_run import StoredRun
from tests.train.remote import Remote, make_checkpoint


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


def _remote(folder: Path) -> Remote:
    """The same runs in a store that is no folder, sent in the order of their checkpoints."""
    store = Remote()
    for name in ("old", "empty", "new"):
        run = folder / "runs" / name
        (run / "tokenizer.json").write_text("{}")
        with Mirror(StoredRun(store, name), run, keep_last=3, stop=StopRequest(), grace_s=9.0) as mirror:
            mirror.note()
            if name != "empty":
                mirror.offer(make_checkpoint(run, 2))
    return store


def test_a_run_in_a_store_that_is_no_folder_comes_here_with_its_newest_checkpoint(store: Path, tmp_path: Path) -> None:
    remote, cache = _remote(store), tmp_path / "cache"
    found = find_run("old", remote, cache)
    assert found.record.run == "old"
    assert found.folder.relative_to(cache).parts[0] == "runs"
    assert found.folder.name == "old"
    newest = find_newest(found.checkpoints)
    assert newest is not None and newest.name == "step-00000002"
    assert (found.folder / "tokenizer.json").read_text() == "{}"
    remote.asked.clear()
    assert find_run("old", remote, cache).folder == found.folder
    assert "fetch" not in [what for what, _ in remote.asked]


def test_runs_of_two_stores_have_two_folders(tmp_path: Path) -> None:
    one, two = MemoryStore("s3://bucket/a-b"), MemoryStore("s3://bucket/a/b")
    assert run_folder(one, "r", tmp_path) != run_folder(two, "r", tmp_path)
    assert run_folder(LocalStore(tmp_path), "r", tmp_path / "cache") == tmp_path / "runs" / "r"


def test_a_remote_run_that_is_not_there_or_has_no_checkpoint_says_so(store: Path, tmp_path: Path) -> None:
    remote = _remote(store)
    with pytest.raises(MissingInput, match="did you mean 'empty'"):
        find_run("emty", remote, tmp_path)
    with pytest.raises(MissingInput, match="no checkpoint yet"):
        find_run("empty", remote, tmp_path)
    with pytest.raises(MissingInput, match="no run has a checkpoint yet"):
        find_run(None, MemoryStore("s3://bucket"), tmp_path)
    assert find_run(None, remote, tmp_path).record.run in ("old", "new")
