"""Small models of both variants behind the interface of transformers."""

from typing import Any

import msgspec
import pytest
import torch

from ten.hf import TenConfig, TenForCausalLM
from ten.model.presets import ModelConfig

END, VOCABULARY = 0, 37
TEN = ModelConfig(layers=2, width=12, eigenstates=8, mlp_width=20, heads=2, convolution=4, max_memory=64.0)
_PAPER: dict[str, Any] = {"variant": "paper", "input_gate": False, "convolution": 0, "input_scaling": False}
CONFIGS = {
    "ten": TEN,
    "ten-positions": msgspec.structs.replace(TEN, positions=9),
    "ten-no-convolution": msgspec.structs.replace(TEN, convolution=0),
    "paper": msgspec.structs.replace(TEN, **_PAPER),
}


def build(config: ModelConfig, **settings: Any) -> TenForCausalLM:
    """A model in evaluation mode whose parameters are all away from their special starting values."""
    ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), END)
    torch.manual_seed(0)
    model = TenForCausalLM(TenConfig(ten=msgspec.to_builtins(config), vocab_size=VOCABULARY, **ids, **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.eval()
    return model


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> TenForCausalLM:
    """A model of each configuration, in float32."""
    return build(CONFIGS[request.param])


@pytest.fixture
def ten() -> TenForCausalLM:
    """A model of the default form."""
    return build(TEN)
