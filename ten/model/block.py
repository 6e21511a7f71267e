"""One block of the model: mix over time, then over channels, each beside the residual stream (torch)."""

import torch.nn.functional as F
from torch import Tensor, nn

from ten.model.documents import Documents
from ten.model.matrix_mixer import MatrixMixer
from ten.model.mixer import LayerCarry, PaperMixer, TenMixer, initialise, weight_std
from ten.model.presets import ModelConfig

_NORM_EPSILON = 1e-6
_MIXERS = {"ten": TenMixer, "matrix": MatrixMixer, "paper": PaperMixer}


def normalisation(config: ModelConfig) -> nn.Module:
    """The variant's norm over the width: RMSNorm, or the published LayerNorm."""
    kind = nn.LayerNorm if config.variant == "paper" else nn.RMSNorm
    return kind(config.width, eps=_NORM_EPSILON)


class Block(nn.Module):
    """x + mixer(norm(x)), then x + MLP(norm(x)), in the form that `config.variant` names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mixer_norm = normalisation(config)
        self.mixer = _MIXERS[config.variant](config)
        self.mlp_norm = normalisation(config)
        self.mlp = SiLUMLP(config) if config.variant == "paper" else SwiGLU(config)

    def forward(self, x: Tensor, documents: Documents | None, carry: LayerCarry | None) -> tuple[Tensor, LayerCarry]:
        """x (B, T, D) → (B, T, D) and the mixer's carry."""
        mixed, carry = self.mixer(self.mixer_norm(x), documents, carry)
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x)), carry


class SwiGLU(nn.Module):
    """W_down (silu(a) ⊙ b) with [a | b] = W_up x (arXiv 2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.up = nn.Linear(config.width, 2 * config.mlp_width, bias=False)
        self.down = nn.Linear(config.mlp_width, config.width, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal weights, smaller where they write to the residual stream."""
        initialise(self.up, weight_std(self.config, self.up.in_features))
        initialise(self.down, weight_std(self.config, self.down.in_features, residual=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        gate, value = self.up(x).chunk(2, dim=-1)
        down: Tensor = self.down(F.silu(gate) * value)
        return down


class SiLUMLP(nn.Module):
    """W_down silu(W_up x), with biases: the published form."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.up = nn.Linear(config.width, config.mlp_width)
        self.down = nn.Linear(config.mlp_width, config.width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As published: normal weights, zero biases."""
        initialise(self.up, weight_std(self.config, self.up.in_features))
        initialise(self.down, weight_std(self.config, self.down.in_features, residual=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        down: Tensor = self.down(F.silu(self.up(x)))
        return down
