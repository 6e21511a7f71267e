"""Small models of all variants with every option on and off, for the tests of this folder."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch

from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig

VOCABULARY = 37
TEN = ModelConfig(layers=2, width=12, eigenstates=8, mlp_width=20, heads=2, convolution=4, max_memory=64.0)
PAPER = ModelConfig(
    variant="paper",
    layers=2,
    width=12,
    eigenstates=8,
    mlp_width=20,
    heads=2,
    input_gate=False,
    convolution=0,
    input_scaling=False,
    max_memory=64.0,
)
_CHANGES: dict[str, tuple[ModelConfig, dict[str, Any]]] = {
    "ten": (TEN, {}),
    "ten-fixed": (TEN, {"selective": False}),
    "ten-no-gate": (TEN, {"input_gate": False}),
    "ten-no-convolution": (TEN, {"convolution": 0}),
    "ten-one-tap": (TEN, {"convolution": 1}),
    "ten-no-scaling": (TEN, {"input_scaling": False}),
    "ten-no-coupling": (TEN, {"coupling": False}),
    "ten-positions": (TEN, {"positions": 9}),
    "ten-bare": (
        TEN,
        {"selective": False, "input_gate": False, "convolution": 0, "input_scaling": False, "coupling": False},
    ),
    "matrix": (TEN, {"variant": "matrix", "coupling": False}),
    "matrix-fixed": (TEN, {"variant": "matrix", "coupling": False, "selective": False}),
    "matrix-bare": (
        TEN,
        {
            "variant": "matrix",
            "coupling": False,
            "input_gate": False,
            "convolution": 0,
            "input_scaling": False,
            "positions": 9,
        },
    ),
    "paper": (PAPER, {}),
    "paper-fixed": (PAPER, {"selective": False}),
    "paper-positions": (PAPER, {"positions": 9}),
    "paper-no-coupling": (PAPER, {"coupling": False}),
}
CONFIGS = {name: msgspec.structs.replace(base, **changes) for name, (base, changes) in _CHANGES.items()}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small lose more to handing work to threads than they gain."""
    torch.set_num_threads(1)


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    """Each configuration in turn."""
    return CONFIGS[request.param]


@pytest.fixture
def model(config: ModelConfig) -> LanguageModel:
    """A model of each configuration, in float64 and with weights large enough that every path matters."""
    return _build(config)


@pytest.fixture
def configs() -> dict[str, ModelConfig]:
    """All of the configurations by name."""
    return CONFIGS


@pytest.fixture
def build() -> Callable[[ModelConfig], LanguageModel]:
    """Builds a model as `model` is built."""
    return _build


def _build(config: ModelConfig) -> LanguageModel:
    """A float64 model whose parameters are all away from their special starting values."""
    torch.manual_seed(0)
    model = LanguageModel(config, VOCABULARY).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model
