"""The soak itself: its order is its seed's, its damage is damage, and it would see a difference."""

import random
from itertools import islice
from pathlib import Path

import pytest

from ten.train import checkpoint_files
from ten.train.loop import train
from tests.soak.damage import damage_file, tear_metrics
from tests.soak.faults import OBJECTS, faults
from tests.soak.workload import Outcome, outcome
from tests.train.tiny import open_training


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of four steps with two checkpoints."""
    train(open_training(tmp_path / "runs" / "r", steps=4))
    return tmp_path / "runs" / "r"


def test_a_seed_gives_its_faults_again_and_every_kind_in_time() -> None:
    first, again = (list(islice(faults(random.Random("7/0"), OBJECTS), 200)) for _ in range(2))
    assert first == again
    assert {fault.kind for fault in first} == set(OBJECTS)
    assert first != list(islice(faults(random.Random("7/1"), OBJECTS), 200))


@pytest.mark.parametrize("cut", [False, True])
def test_damage_is_seen_and_spares_the_last_sound_checkpoint(run: Path, cut: bool) -> None:
    name = damage_file(run, cut, random.Random(0))
    assert name is not None
    newest, before = run / "checkpoints" / "step-00000004", run / "checkpoints" / "step-00000002"
    assert Path(name).parent == newest.relative_to(run)
    assert checkpoint_files.find_damage(newest)
    assert checkpoint_files.find_newest(newest.parent) == before
    (newest / checkpoint_files.SEAL).unlink()
    assert damage_file(run, cut, random.Random(0)) is None


def test_metrics_that_a_checkpoint_covers_are_never_torn(run: Path) -> None:
    path = run / "metrics.jsonl"
    whole = path.read_bytes()
    tear_metrics(run, random.Random(0))
    assert path.read_bytes() == whole
    (run / "checkpoints" / "step-00000004" / checkpoint_files.SEAL).unlink()
    tear_metrics(run, random.Random(0))
    torn = path.read_bytes()
    assert whole.startswith(torn) and torn.count(b"\n") == 3


def test_any_difference_is_said(run: Path) -> None:
    one = outcome(run)
    assert one.difference(outcome(run)) is None
    rows, losses, weights = one.rows, one.losses, one.weights
    other = (losses[0][0], losses[0][1] + 1e-9, losses[0][2])
    assert "steps" in str(one.difference(Outcome(rows[1:], losses[1:], weights)))
    assert "rows from step 4" in str(one.difference(Outcome((*rows[:3], "0"), losses, weights)))
    assert "losses from step 1" in str(one.difference(Outcome(rows, (other, *losses[1:]), weights)))
    assert "weights" in str(one.difference(Outcome(rows, losses, (weights[0], weights[1][:-1] + b"x"))))
