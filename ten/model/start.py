"""Start values of weights and phases (torch)."""

import math

import torch
from torch import Tensor, nn

from ten.model.presets import ModelConfig

PAPER_STD = 0.02


def initialise(linear: nn.Linear, std: float) -> None:
    """Normal weights of that standard deviation and zero biases."""
    nn.init.normal_(linear.weight, std=std)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def weight_std(config: ModelConfig, inputs: int, *, residual: bool = False) -> float:
    """Standard deviation of a weight's start values, for that many inputs.

    Half of what keeps a unit variance; less by sqrt(2 layers) where it writes to the residual stream (GPT-2's rule).
    The published form has 0.02 everywhere.
    """
    if config.variant == "paper":
        return PAPER_STD
    return 0.5 / math.sqrt(inputs * (2 * config.layers if residual else 1))


def spread_phases(phase: Tensor) -> None:
    """Phases evenly around the circle, in place: 2π k / K."""
    states = phase.shape[0]
    with torch.no_grad():
        phase.copy_(torch.arange(states, device=phase.device) * (2 * math.pi / states))
