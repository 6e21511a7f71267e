"""Runs: a damaged checkpoint is never loaded, and a damaged record, state or log is named."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import strategies as st

from ten.train import checkpoint_files
from ten.train.checkpoint import read_state
from ten.train.loop import train
from ten.train.machine import Machine
from ten.train.metrics import MetricsLog, last_lines, lines_until, read_metrics, tokens_at
from ten.train.named_tensors import load_weights
from ten.train.run_record import RunRecord, now, read_run, write_run
from tests.fuzz.conftest import Explore
from tests.fuzz.mutations import VALUES, changed, documents, encoded, mutated
from tests.fuzz.refusal import answer_or_refusal
from tests.train.tiny import TinyModel, open_training

NAMES = ("model.safetensors", "optimizer.safetensors", "state.json")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps."""
    folder = tmp_path_factory.mktemp("run")
    train(open_training(folder, steps=4))
    return folder


@pytest.fixture
def checkpoint(run: Path, tmp_path: Path) -> Path:
    """Its last checkpoint, alone, to be damaged."""
    folder = tmp_path / "checkpoints" / "step-00000004"
    shutil.copytree(run / "checkpoints" / folder.name, folder)
    return folder


@pytest.mark.parametrize("name", [*NAMES, checkpoint_files.SEAL])
def test_a_damaged_checkpoint_is_whole_or_named(explore: Explore, checkpoint: Path, name: str) -> None:
    whole, wanted = (checkpoint / name).read_bytes(), checkpoint_files.read_seal(checkpoint)

    def check(data: bytes) -> None:
        (checkpoint / name).write_bytes(data)
        found = answer_or_refusal(lambda: checkpoint_files.find_newest(checkpoint.parent), checkpoint.parent)
        if found is not None:
            assert checkpoint_files.read_seal(checkpoint).files == wanted.files
            assert name == checkpoint_files.SEAL or data == whole

    explore(mutated(whole) | st.binary(max_size=40), check)


def test_any_complete_is_right_or_named(explore: Explore, checkpoint: Path) -> None:
    seal = json.loads((checkpoint / checkpoint_files.SEAL).read_bytes())

    def check(tree: object) -> None:
        (checkpoint / checkpoint_files.SEAL).write_bytes(encoded(tree))
        found = answer_or_refusal(lambda: checkpoint_files.find_newest(checkpoint.parent), checkpoint.parent)
        assert found is None or checkpoint_files.read_seal(found).files

    explore(changed(seal) | VALUES, check)


def test_a_state_is_read_or_named(explore: Explore, checkpoint: Path) -> None:
    path = checkpoint / "state.json"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        answer_or_refusal(lambda: read_state(checkpoint), checkpoint)

    explore(documents(path.read_bytes()), check)


def test_weights_sealed_by_others_are_loaded_or_named(explore: Explore, checkpoint: Path) -> None:
    path, model = checkpoint / "model.safetensors", TinyModel()

    def check(data: bytes) -> None:
        path.write_bytes(data)
        answer_or_refusal(lambda: load_weights(model, checkpoint), checkpoint)

    explore(mutated(path.read_bytes()) | st.binary(max_size=40), check)


def test_a_record_is_read_or_named(explore: Explore, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    record = RunRecord(run="r", created=now(), spec={"a": {"b": 1}}, total_tokens=9)
    begun = record.begin(device="cpu", mode="full", world_size=1, from_step=0, machine=Machine(), from_tokens=0)
    write_run(path, begun.end(to_step=4, reason="finished", to_tokens=9))

    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = answer_or_refusal(lambda: read_run(path), path)
        if found is not None:
            write_run(path, found.begin(device="cpu", mode="full", world_size=1, from_step=0))

    explore(documents(path.read_bytes()), check)


def test_metrics_are_read_or_named(explore: Explore, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = (run / "metrics.jsonl").read_bytes()
    lines = [json.loads(line) for line in whole.splitlines()]

    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = answer_or_refusal(lambda: read_metrics(path), path)
        answer_or_refusal(lambda: lines_until(path, 2), path)
        assert tokens_at(path, 2) is None or isinstance(tokens_at(path, 2), int)
        last = last_lines(data)
        assert found is None or last == found
        log = answer_or_refusal(lambda: MetricsLog(path, 2), path)
        assert (log is None) == (found is None)
        assert log is None or all(line.step <= 2 for line in read_metrics(path))

    trees = changed(lines).map(
        lambda tree: b"".join(encoded(one) + b"\n" for one in tree or ()) if _is_list(tree) else b""
    )
    explore(mutated(whole) | trees, check)


def _is_list(tree: object) -> bool:
    return isinstance(tree, list)


def test_the_seal_says_what_the_files_are(checkpoint: Path) -> None:
    seal = checkpoint_files.read_seal(checkpoint)
    assert sorted(seal.files) == sorted(NAMES)
    for name in NAMES:
        assert hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == seal.files[name].sha256
