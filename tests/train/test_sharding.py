"""Gloo ranks with a whole model each, or that share it out, do what a process alone does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ten.train.distributed import World
from ten.train.sharding import fill, local, whole
from tests.train.tiny import free_port

ROOT = Path(__file__).parents[2]


def train_on(ranks: int, choice: str, folder: Path) -> list[dict[str, Any]]:
    """What each rank of tests/train/shared_out.py saw."""
    common = {**os.environ, "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.train.shared_out", str(folder), choice],
            cwd=ROOT, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(ranks)
    ]  # fmt: skip
    said = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * ranks, said
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]


CASES = [
    (3, "shard"),
    (2, "replicate"),
    pytest.param((4, "shard"), marks=pytest.mark.slow),
    pytest.param((4, "replicate"), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    ranks, choice = request.param
    found = train_on(ranks, choice, tmp_path_factory.mktemp("ranks"))
    assert {rank["in_step"] for rank in found} == {choice == "shard"}
    return found


def test_a_rank_holds_its_share_and_the_compiler_is_imported_only_for_that(seen: list[dict[str, Any]]) -> None:
    for rank in seen:
        assert rank["dynamo"] == rank["in_step"]
        if not rank["in_step"]:
            assert rank["held"] == rank["parameters"]
    if seen[0]["in_step"]:
        assert sum(rank["held"] for rank in seen) == seen[0]["parameters"]
        assert max(rank["held"] for rank in seen) < 0.6 * seen[0]["parameters"]


def test_steps_are_those_of_a_process_alone(seen: list[dict[str, Any]]) -> None:
    """Also the one after a step that was abandoned because the last rank was asked to stop."""
    for rank in seen:
        assert rank["abandoned"]
        for ours, alone in zip(rank["steps"][::2], rank["steps"][1::2], strict=True):
            assert ours == pytest.approx(alone, rel=1e-5)
            assert ours[2] == alone[2]
        assert rank["apart"] < 1e-4
    assert all(rank["steps"][::2] == seen[0]["steps"][::2] for rank in seen)


def test_a_score_is_that_of_a_process_alone_though_the_last_round_is_not_full(seen: list[dict[str, Any]]) -> None:
    for rank in seen:
        ours, alone = rank["scores"]
        assert ours == pytest.approx(alone, rel=1e-5)


def test_a_checkpoint_has_the_same_bytes_whoever_wrote_it(seen: list[dict[str, Any]]) -> None:
    first, *others = (Path(folder) for folder in seen[0]["checkpoints"])
    assert len(others) == 2
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert {(folder / name).read_bytes() for folder in others} == {(first / name).read_bytes()}


def test_divergence_names_the_same_gradient_on_every_rank_and_changes_nothing(seen: list[dict[str, Any]]) -> None:
    said = {tuple(rank["diverged"]) for rank in seen}
    assert len(said) == 1
    ((message, *changed),) = said
    assert "step 5: the loss is nan" in message and "first in the gradient of embedding.weight" in message
    assert not changed


def test_alone_a_tensor_is_whole_and_local() -> None:
    tensor = torch.zeros(3)
    fill(tensor, torch.arange(3.0), World())
    assert tensor.tolist() == [0, 1, 2]
    assert local(tensor) is whole(tensor) is tensor
