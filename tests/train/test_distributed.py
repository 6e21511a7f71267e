"""Two real gloo ranks train as one does, stop together and fall together."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from ten.errors import SpecError
from ten.train import checkpoint_files
from ten.train.distributed import World, open_world
from ten.train.loop import train
from ten.train.metrics import read_metrics
from tests.train.tiny import free_port, open_training, start_attempt, tiny_model, wait_for_steps


def start_ranks(folder: Path, steps: int, fault: str) -> "list[subprocess.Popen[str]]":
    port = str(free_port())
    return [
        start_attempt(
            folder, steps, fault,
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
        )
        for rank in range(2)
    ]  # fmt: skip


def finish(processes: "Sequence[subprocess.Popen[str]]") -> list[tuple[int, str]]:
    outputs = [process.communicate(timeout=90)[0] for process in processes]
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def test_two_ranks_train_as_one_and_a_resume_may_change_their_number(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert [code for code, _ in finish(start_ranks(two, 6, "leave"))] == [75, 75]
    for folder in (one, two):
        train(open_training(folder, steps=6, model=tiny_model(dropout=0.0), checkpoint_every=0))
    alone, together = (read_metrics(folder / "metrics.jsonl") for folder in (one, two))
    assert [line.step for line in together] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(alone, together, strict=True):
        assert (a.tokens, a.rows_sha256) == (b.tokens, b.rows_sha256)
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
    assert together[0].loss == pytest.approx(alone[0].loss, rel=1e-6)
    assert together[0].grad_norm == pytest.approx(alone[0].grad_norm, rel=1e-5)


def test_a_signal_to_one_rank_stops_both_after_the_same_step(tmp_path: Path) -> None:
    processes = start_ranks(tmp_path, 10**4, "slow")
    wait_for_steps(tmp_path, 2)
    processes[1].send_signal(signal.SIGTERM)
    (first, first_output), (second, second_output) = finish(processes)
    assert (first, second) == (75, 75), first_output + second_output
    assert "stopped by the stop of another rank" in first_output
    assert "stopped by SIGTERM" in second_output
    saved = checkpoint_files.find_newest(tmp_path / "checkpoints")
    assert saved is not None
    assert str(saved) in first_output
    assert str(saved) in second_output
    assert checkpoint_files.step_of(saved) == read_metrics(tmp_path / "metrics.jsonl")[-1].step


def test_an_error_on_one_rank_ends_the_other_too(tmp_path: Path) -> None:
    (first, said), (second, output) = finish(start_ranks(tmp_path, 10**4, "crash"))
    assert (first, second) == (75, 1)
    assert said.startswith("rank 0 of 2: another rank has ended (") and "run the same command again" in said
    assert "RuntimeError: this rank fails" in output
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 2


def test_data_that_fails_on_one_rank_stops_all_with_their_last_step_saved(tmp_path: Path) -> None:
    (first, said), (second, output) = finish(start_ranks(tmp_path, 10**4, "data"))
    assert (first, second) == (75, 65), said + output
    assert "stopped by the stop of another rank after step 2; saved" in said
    assert "this rank has no data" in output
    saved = checkpoint_files.find_newest(tmp_path / "checkpoints")
    assert saved is not None and checkpoint_files.step_of(saved) == 2


def test_a_later_checkpoint_on_another_machine_is_refused_by_name(tmp_path: Path) -> None:
    for name, steps in (("rank0", 2), ("rank1", 4)):
        train(open_training(tmp_path / name, steps=steps, model=tiny_model(dropout=0.0), checkpoint_every=2))
    ended = finish(start_ranks(tmp_path, 6, "apart"))
    for code, said in ended:
        assert code == 78
        assert "rank 0's machine has step-00000002, and " in said
    assert "and another's has a later one; make that machine rank 0" in ended[0][1]
    assert "and rank 1's has step-00000004; make that machine rank 0" in ended[1][1]


def test_a_machine_without_a_checkpoint_gets_it_from_rank_0(tmp_path: Path) -> None:
    train(open_training(tmp_path / "whole", steps=6, model=tiny_model(dropout=0.0), checkpoint_every=0))
    part = open_training(tmp_path / "rank0", steps=6, model=tiny_model(dropout=0.0), checkpoint_every=3)
    for _ in range(3):
        metrics = part.step(*part.next_batch())
        assert metrics is not None
        part.record(metrics)
    part.checkpoint_if_due()
    assert [code for code, _ in finish(start_ranks(tmp_path, 6, "apart"))] == [0, 0]
    assert not (tmp_path / "rank1").exists()
    whole, parts = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "rank0"))
    assert [line.loss for line in parts] == pytest.approx([line.loss for line in whole], rel=1e-4)


def test_alone_every_collective_is_the_identity() -> None:
    world = World()
    values = torch.arange(3.0)
    assert world.sum(values) is values
    assert world.from_first(7) == 7
    assert world.gather_digests((b"a", b"b")) == [[b"a", b"b"]]
    world.barrier()


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with open_world(torch.device("cpu")) as world:
        assert (world.rank, world.size, world.is_first) == (0, 1, True)


def test_half_of_torchruns_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SpecError, match="RANK=None"), open_world(torch.device("cpu")):
        pass
