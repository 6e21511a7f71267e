"""Eigenvalues read without torch are those that the model computes with."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ten.errors import DataError
from ten.model.lm import LanguageModel
from ten.model.mixer import PaperMixer, TenMixer
from ten.model.presets import ModelConfig
from ten.report.memory import magnitude
from ten.report.spectrum import read_spectrum


def _model(**settings: object) -> LanguageModel:
    torch.manual_seed(1)
    config = {
        "layers": 3,
        "width": 10,
        "eigenstates": 6,
        "mlp_width": 8,
        "heads": 2,
        "max_memory": 50.0,
        "convolution": 2,
    }
    model = LanguageModel(ModelConfig(**{**config, **settings}), 64)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"selective": False},
        {"input_gate": False},
        {"selective": False, "input_gate": False},
        {"variant": "paper", "input_gate": False, "convolution": 0, "input_scaling": False},
    ],
)
def test_eigenvalues_are_the_model_s_own(tmp_path: Path, settings: dict[str, object]) -> None:
    model = _model(**settings)
    tensors = {name: tensor.contiguous() for name, tensor in model.named_parameters()}
    save_file({name: tensor.detach() for name, tensor in tensors.items()}, tmp_path / "model.safetensors")
    layers = read_spectrum(
        tmp_path / "model.safetensors",
        selective=bool(settings.get("selective", True)),
        input_gate=bool(settings.get("input_gate", True)),
    )
    mixers = [module for module in model.modules() if isinstance(module, TenMixer | PaperMixer)]
    assert [layer.number for layer in layers] == [0, 1, 2]
    for layer, mixer in zip(layers, mixers, strict=True):
        if isinstance(mixer, TenMixer):
            logits = torch.split(mixer.projection.bias, mixer.widths)[2][None, None]
            expected = mixer.log_decay(logits).reshape(-1)
        else:
            expected = torch.nn.functional.logsigmoid(mixer.decay_logit)
        np.testing.assert_allclose(layer.log_decay, expected.detach().numpy(), rtol=1e-5)
        turns = (layer.phase - mixer.phase.detach().numpy()) / (2 * math.pi)
        np.testing.assert_allclose(turns, np.round(turns), atol=1e-6)
        assert np.all(np.abs(layer.phase) <= math.pi)
        np.testing.assert_allclose(np.exp(layer.log_decay) ** layer.half_life, 0.5, rtol=1e-9)


def test_a_decay_of_a_head_is_that_of_each_of_its_states(tmp_path: Path) -> None:
    bias = torch.zeros(18)  # 14 others, 2 decays, 2 input gates
    bias[14:16] = torch.tensor([-math.log(7.0), 0.0])  # 8 σ = 1 and 4
    tensors = {"log_memory": torch.log(torch.tensor([10.0, 20.0])), "phase": torch.zeros(6), "projection.bias": bias}
    save_file({f"blocks.0.mixer.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "a.safetensors")
    (gated,) = read_spectrum(tmp_path / "a.safetensors", selective=True, input_gate=True)
    np.testing.assert_allclose(gated.log_decay, np.repeat([-0.1, -0.2], 3), rtol=1e-6)
    save_file({f"blocks.0.mixer.{name}": t[:16] if name == "projection.bias" else t for name, t in tensors.items()},
              tmp_path / "b.safetensors")  # fmt: skip
    (plain,) = read_spectrum(tmp_path / "b.safetensors", selective=True, input_gate=False)
    np.testing.assert_allclose(plain.log_decay, np.repeat([-0.1, -0.2], 3), rtol=1e-6)


def test_a_model_without_eigenvalues_has_none_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"embedding.weight": torch.zeros(2, 2)}, path)
    assert read_spectrum(path, selective=True, input_gate=True) == []
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        read_spectrum(path, selective=True, input_gate=True)


@pytest.mark.parametrize(("half_life", "text"), [(1.0, ".50"), (10.0, ".933"), (100.0, ".9931"), (10_000.0, ".999931")])
def test_a_magnitude_has_the_digits_that_tell_it_from_one(half_life: float, text: str) -> None:
    assert magnitude(half_life) == text
