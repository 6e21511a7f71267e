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
    layers = read_spectrum(tmp_path / "model.safetensors", selective=bool(settings.get("selective", True)))
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


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"embedding.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(DataError, match="no layer with eigenvalues"):
        read_spectrum(path, selective=True)
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        read_spectrum(path, selective=True)


@pytest.mark.parametrize(("half_life", "text"), [(1.0, ".50"), (10.0, ".933"), (100.0, ".9931"), (10_000.0, ".999931")])
def test_a_magnitude_has_the_digits_that_tell_it_from_one(half_life: float, text: str) -> None:
    assert magnitude(half_life) == text
