"""A run's newest checkpoint on a machine that has not got it."""

import logging
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ten.errors import DataError, ServiceUnavailable, SpecError
from ten.train import checkpoint_files
from ten.train.metrics import read_metrics
from ten.train.mirror import Mirror
from ten.train.recovery import alone, recover
from ten.train.run_record import read_run, write_run
from ten.train.settings import CheckpointSettings
from ten.train.stopping import StopRequest
from ten.train.stored_run import StoredRun
from tests.train.remote import FarFolder, Remote, make_checkpoint, make_run, step_folder

ROOT = Path(__file__).parents[2]


def send(store: Any, run: Path, *steps: int) -> None:
    """Put checkpoints of a run into a store."""
    stored = StoredRun(store, "r")
    stored.look()
    with Mirror(stored, run, keep_last=9, stop=StopRequest(), grace_s=30.0) as mirror:
        for step in steps:
            mirror.offer(make_checkpoint(run, step))
            while mirror.stored != step:
                time.sleep(0.005)


@pytest.fixture
def store(tmp_path: Path) -> Remote:
    """Holds the run `r` with checkpoints of steps 3 and 5."""
    store, run = Remote(), tmp_path / "machine" / "r"
    make_run(run, 5)
    send(store, run, 3, 5)
    store.asked.clear()
    return store


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The run's folder on an empty machine."""
    return tmp_path / "other machine" / "r"


def steps(run: Path) -> list[int]:
    return [checkpoint_files.step_of(folder) for folder in checkpoint_files.complete(run / "checkpoints")]


def fetch(store: Remote, here: Path, **settings: Any) -> StoredRun:
    stored = StoredRun(store, "r")
    stored.look()
    recover(stored, here, CheckpointSettings(**settings))
    return stored


def test_an_empty_machine_gets_the_newest_checkpoint_and_what_lies_beside_it(store: Remote, here: Path) -> None:
    assert fetch(store, here).newest == 5
    assert steps(here) == [5]
    assert checkpoint_files.find_damage(here / "checkpoints" / "step-00000005") is None
    assert [line.step for line in read_metrics(here / "metrics.jsonl")] == [1, 2, 3, 4, 5]
    assert read_run(here / "run.json") is not None
    assert (here / "tokenizer.json").exists()
    assert sorted(path.name for path in (here / "checkpoints").iterdir()) == ["step-00000005"]


def test_what_is_newer_here_or_as_new_stays(store: Remote, here: Path) -> None:
    make_run(here, 6)
    (here / "run.json").write_bytes(store.read("runs/r/run.json"))
    for step in (5, 6):
        make_checkpoint(here, step)
        fetch(store, here)
        assert [what for what, _ in store.asked if what == "fetch"] == []
    assert steps(here) == [5, 6]
    assert len(read_metrics(here / "metrics.jsonl")) == 6


def test_a_store_without_the_run_is_asked_two_things_and_nothing_changes(here: Path) -> None:
    store = Remote()
    assert fetch(store, here).newest is None
    assert sorted(what for what, _ in store.asked) == ["list", "read"]
    assert not (here / "run.json").exists()


def test_the_newer_record_stays(store: Remote, here: Path, tmp_path: Path) -> None:
    record = read_run(tmp_path / "machine" / "r" / "run.json")
    assert record is not None
    older = msgspec.structs.replace(record, created=record.created - timedelta(hours=1))
    write_run(here / "run.json", older)
    fetch(store, here)
    assert read_run(here / "run.json") == record
    ours = record.begin(device="cpu", mode="full", world_size=1, from_step=5)
    write_run(here / "run.json", ours)
    fetch(store, here)
    assert read_run(here / "run.json") == ours


def test_checkpoints_of_another_run_of_that_name_are_not_mixed_with_the_stores(store: Remote, here: Path) -> None:
    record = make_run(here, 9)
    write_run(here / "run.json", msgspec.structs.replace(record, created=record.created - timedelta(days=9)))
    make_checkpoint(here, 9)
    with pytest.raises(SpecError, match=r"another run of that name, begun .*move that folder away"):
        fetch(store, here)
    assert steps(here) == [9]


def test_a_checkpoint_that_its_trainer_deletes_meanwhile_makes_way_for_the_newer_one(
    store: Remote, here: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored = StoredRun(store, "r")
    stored.look()
    send(store, tmp_path / "machine" / "r", 7)
    for step in (3, 5):
        for name in ("COMPLETE", "model.safetensors", "state.json"):
            store.delete(f"{step_folder(step)}/{name}")
    recover(stored, here, CheckpointSettings())
    assert steps(here) == [7]
    assert "damaged" not in caplog.text


def test_a_checkpoint_that_lacks_a_file_is_damaged_however_often_one_looks(store: Remote, here: Path) -> None:
    store.damage(f"{step_folder(5)}/model.safetensors")
    store.delete(f"{step_folder(3)}/model.safetensors")
    with pytest.raises(DataError, match="every checkpoint in the store is damaged"):
        fetch(store, here)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_fetched(
    store: Remote, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.damage(f"{step_folder(5)}/model.safetensors")
    stored = fetch(store, here)
    assert steps(here) == [3]
    assert stored.newest == 3
    assert "step-00000005 is damaged and is not used" in caplog.text


@pytest.mark.parametrize("file", ["model.safetensors", "COMPLETE"])
def test_only_damaged_checkpoints_are_an_error_and_no_fresh_start(store: Remote, here: Path, file: str) -> None:
    for step in (3, 5):
        store.damage(f"{step_folder(step)}/{file}")
    with pytest.raises(DataError, match="every checkpoint in the store is damaged"):
        fetch(store, here)


def test_damage_here_is_mended_by_the_store(store: Remote, here: Path) -> None:
    fetch(store, here)
    (here / "checkpoints" / "step-00000005" / "state.json").write_text("wrong")
    fetch(store, here)
    assert checkpoint_files.find_damage(here / "checkpoints" / "step-00000005") is None


def test_resume_never_counts_the_checkpoints_in_the_store(store: Remote, here: Path) -> None:
    with pytest.raises(SpecError, match=r"step-00000005 is there and checkpoint\.resume is never"):
        fetch(store, here, resume="never")


def test_older_checkpoints_make_way_for_the_fetched_one(store: Remote, here: Path) -> None:
    for step in (1, 2, 4):
        make_checkpoint(here, step)
    fetch(store, here, keep_last=2)
    assert steps(here) == [4, 5]


def test_an_interrupted_fetch_goes_on_and_only_a_whole_checkpoint_appears(store: Remote, here: Path) -> None:
    state = f"{step_folder(5)}/state.json"
    whole = store.read(state)
    store.error_for = state
    with pytest.raises(ServiceUnavailable):
        fetch(store, here)
    assert steps(here) == []
    store.error_for, store.asked = "", []
    fetch(store, here)
    assert steps(here) == [5]
    assert [key for what, key in store.asked if what == "fetch"] == [state]
    assert (here / "checkpoints" / "step-00000005" / "state.json").read_bytes() == whole


def test_what_a_fetch_of_another_checkpoint_left_is_not_taken_for_this_one(store: Remote, here: Path) -> None:
    gathered = checkpoint_files.fetching(here / "checkpoints", 5)
    other = checkpoint_files.fetching(here / "checkpoints", 4)
    for folder in (gathered, other):
        folder.mkdir(parents=True)
    (gathered / "model.safetensors").write_bytes(b"weights of another run")
    fetch(store, here)
    assert checkpoint_files.find_damage(here / "checkpoints" / "step-00000005") is None
    assert not other.exists()


def test_two_ranks_of_a_machine_see_the_same_record_and_fetch_once(tmp_path: Path) -> None:
    run = tmp_path / "machine" / "r"
    make_run(run, 5)
    send(FarFolder(tmp_path / "far"), run, 5)
    code = (
        "import os, sys; from pathlib import Path; from ten.train.recovery import recover\n"
        "from ten.train.settings import CheckpointSettings; from ten.train.stored_run import StoredRun\n"
        "from ten.train.run_record import read_run; from tests.train.remote import FarFolder\n"
        "far, here = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "leads = os.environ['LOCAL_RANK'] == '0'\n"
        "run = StoredRun(FarFolder(far, 0.3), 'r'); run.look()\n"
        "recover(run, here, CheckpointSettings(), leads=leads)\n"
        "print(read_run(here / 'run.json').created, [f.name for f in (here / 'checkpoints').iterdir()])\n"
    )
    here = tmp_path / "other machine" / "r"
    words = [sys.executable, "-c", code, str(tmp_path / "far"), str(here)]
    ranks = [
        subprocess.Popen(
            words, cwd=ROOT, env={**os.environ, "LOCAL_RANK": rank}, stdout=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    said = [rank.communicate(timeout=60)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    assert said[0] == said[1]
    assert "['step-00000005']" in said[0]
    fetched = (tmp_path / "far" / "fetched.txt").read_text().splitlines()
    assert len(fetched) == len(set(fetched)) == 2


def test_a_killed_process_lets_go_of_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = "import sys, time; from pathlib import Path; from ten.train.recovery import alone\n" \
        "with alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)\n"  # fmt: skip
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        threading.Timer(0.3, process.kill).start()
        with caplog.at_level(logging.INFO), alone(tmp_path):
            assert "waiting for another process" in caplog.text
