"""Checkpoints of a model and its optimizer: restored to the bit, refused where they do not fit."""

import logging
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ten.errors import DataError, MissingInput, SpecError
from ten.model.lm import LanguageModel
from ten.train import checkpoint_files
from ten.train.checkpoint import Position, load_weights, model_tensors, optimizer_tensors, read_state
from ten.train.loop import train
from ten.train.optim import build_optimizer
from ten.train.settings import OptimizerName, TrainSettings, Weights
from tests.train.tiny import TinyModel, open_training, tiny_model

KINDS = [("adamw", "bf16"), ("muon", "fp32"), ("muon", "bf16"), ("adamw8bit", "fp32"), ("adamw8bit", "bf16")]


def test_a_checkpoint_holds_named_tensors_position_and_spec_in_safe_formats(tmp_path: Path) -> None:
    train(open_training(tmp_path, steps=4))
    folder = tmp_path / "checkpoints" / "step-00000004"
    names = {"embedding", "mix.weight", "mix.bias"}
    assert load_file(folder / "model.safetensors").keys() == names
    assert load_file(folder / "optimizer.safetensors").keys() == {
        f"{kind}/{name}" for kind in ("exp_avg", "exp_avg_sq", "step") for name in names
    }
    state = read_state(folder)
    assert state.position.step == 4
    assert state.spec == {"name": "tiny"}
    assert {p.name for p in folder.iterdir()} == {
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
        "COMPLETE",
    }


@pytest.mark.parametrize("at", [1, 4, 7])
def test_resume_is_the_same_run_to_the_bit(tmp_path: Path, at: int) -> None:
    whole, first, second = tiny_model(seed=5), tiny_model(seed=5), tiny_model(seed=6)
    train(open_training(tmp_path / "whole", steps=8, model=whole))
    whole_random = torch.get_rng_state()
    run = open_training(tmp_path / "parts", steps=8, model=first, checkpoint_every=at)
    for _ in range(at):
        assert run.step(*run.next_batch()) is not None
        run.checkpoint_if_due()
    torch.manual_seed(99)
    train(open_training(tmp_path / "parts", steps=8, model=second))
    for name, tensor in model_tensors(whole).items():
        assert torch.equal(tensor, model_tensors(second)[name]), name
    assert torch.equal(torch.get_rng_state(), whole_random)
    for name in ("model.safetensors", "optimizer.safetensors"):
        stored = [(tmp_path / p / "checkpoints" / "step-00000008" / name).read_bytes() for p in ("whole", "parts")]
        assert stored[0] == stored[1]


@pytest.mark.parametrize(("optimizer", "weights"), KINDS)
def test_every_optimizer_resumes_to_the_bit(tmp_path: Path, optimizer: OptimizerName, weights: Weights) -> None:
    if optimizer == "adamw8bit":
        pytest.importorskip("torchao")
    kinds: dict[str, Any] = {"optimizer_name": optimizer, "weights": weights}
    train(open_training(tmp_path / "whole", steps=5, model=tiny_model(seed=5), **kinds))
    run = open_training(tmp_path / "parts", steps=5, model=tiny_model(seed=5), checkpoint_every=3, **kinds)
    for _ in range(3):
        assert run.step(*run.next_batch()) is not None
        run.checkpoint_if_due()
    torch.manual_seed(99)
    train(open_training(tmp_path / "parts", steps=5, model=tiny_model(seed=6), **kinds))
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        stored = [(tmp_path / p / "checkpoints" / "step-00000005" / name) for p in ("whole", "parts")]
        if name == "state.json":
            assert read_state(stored[0].parent).random == read_state(stored[1].parent).random
        else:
            assert stored[0].read_bytes() == stored[1].read_bytes()
    weight = load_file(tmp_path / "parts" / "checkpoints" / "step-00000005" / "model.safetensors")["mix.weight"]
    assert weight.dtype == (torch.bfloat16 if weights == "bf16" else torch.float32)


def test_muon_keeps_one_tensor_a_matrix_and_adamw_the_rest(tmp_path: Path) -> None:
    train(open_training(tmp_path, steps=2, optimizer_name="muon"))
    assert load_file(tmp_path / "checkpoints" / "step-00000002" / "optimizer.safetensors").keys() == {
        "momentum_buffer/embedding",
        "momentum_buffer/mix.weight",
        *(f"{kind}/mix.bias" for kind in ("exp_avg", "exp_avg_sq", "step")),
    }


def test_positions_survive_their_file(tmp_path: Path) -> None:
    run = open_training(tmp_path, steps=6)
    train(run)
    again = open_training(tmp_path, steps=6)
    assert (again.position.step, again.position.cursor) == (6, run.position.cursor)
    assert 0 < again.position.seconds <= run.position.seconds
    assert again.is_done


def test_saving_a_step_twice_writes_it_once(tmp_path: Path) -> None:
    train(open_training(tmp_path, steps=2))
    seal = tmp_path / "checkpoints" / "step-00000002" / checkpoint_files.SEAL
    before = seal.stat().st_mtime_ns
    train(open_training(tmp_path, steps=2))
    assert seal.stat().st_mtime_ns == before


def test_retention_keeps_as_many_as_asked(tmp_path: Path) -> None:
    train(open_training(tmp_path, steps=7, checkpoint_every=1, keep_last=2))
    assert [p.name for p in checkpoint_files.complete(tmp_path / "checkpoints")] == ["step-00000006", "step-00000007"]


def test_resume_falls_back_from_a_damaged_checkpoint_and_ends_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(open_training(tmp_path, steps=6))
    newest = tmp_path / "checkpoints" / "step-00000006" / "model.safetensors"
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with caplog.at_level(logging.INFO):
        run = open_training(tmp_path, steps=6)
    assert "step-00000006 is damaged" in caplog.text
    assert run.position.step == 4
    train(run)
    assert newest.read_bytes() == whole


def test_require_without_a_checkpoint_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"checkpoint\.resume=auto"):
        open_training(tmp_path, steps=2, resume="require")


def test_never_does_not_write_over_a_run_that_is_there(tmp_path: Path) -> None:
    assert open_training(tmp_path, steps=2, resume="never").position == Position()
    train(open_training(tmp_path, steps=2))
    with pytest.raises(SpecError, match=r"checkpoint\.resume is never"):
        open_training(tmp_path, steps=2, resume="never")


class Wider(TinyModel):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(5, 6)


class Deeper(TinyModel):
    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Linear(5, 5)


@pytest.mark.parametrize(
    ("model", "words"), [(Wider(), r"mix\.weight is \(5, 5\).*\(6, 5\)"), (Deeper(), r"lacks more\.bias")]
)
def test_a_checkpoint_of_another_model_is_refused_by_tensor(tmp_path: Path, model: TinyModel, words: str) -> None:
    train(open_training(tmp_path, steps=2))
    with pytest.raises(SpecError, match=words):
        load_weights(cast(LanguageModel, model), tmp_path / "checkpoints" / "step-00000002")


def test_only_damaged_checkpoints_stop_the_run_instead_of_beginning_it_again(tmp_path: Path) -> None:
    train(open_training(tmp_path, steps=2))
    (tmp_path / "checkpoints" / "step-00000002" / "state.json").write_text("{}")
    with pytest.raises(DataError, match="every checkpoint is damaged"):
        open_training(tmp_path, steps=2)


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(msgspec.json.encode({"position": {}, "epoch": 3}))
    with pytest.raises(SpecError, match="another version"):
        read_state(tmp_path)


def test_tied_tensors_are_stored_once_and_buffers_are_stored() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(3, 2)
            self.head = nn.Linear(2, 3, bias=False)
            self.head.weight = self.embedding.weight
            self.register_buffer("table", torch.arange(3))
            self.register_buffer("scratch", torch.arange(3), persistent=False)

    assert model_tensors(Tied()).keys() == {"embedding.weight", "table"}


def test_a_fresh_optimizer_has_no_tensors() -> None:
    model = tiny_model()
    assert optimizer_tensors(model, build_optimizer(model, TrainSettings(), ())) == {}
