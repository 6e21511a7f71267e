"""One block of the model: mix over time, then over channels, each beside the residual stream (torch)."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ten.model.documents import Documents
from ten.model.matrix_mixer import MatrixMixer
from ten.model.mixer import LayerCarry, Mixer, PaperMixer, TenMixer
from ten.model.presets import ModelConfig, Variant
from ten.model.recompute import Runner, call, recomputed
from ten.model.start import initialise, weight_std

_NORM_EPSILON = 1e-6
_MIXERS: dict[Variant, Callable[[ModelConfig], Mixer]] = {
    "ten": TenMixer, "matrix": MatrixMixer, "paper": PaperMixer,
}  # fmt: skip


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

    def forward(
        self, x: Tensor, documents: Documents | None, carry: LayerCarry | None, recompute: bool = False
    ) -> tuple[Tensor, LayerCarry]:
        """x (B, T, D) → (B, T, D) and the mixer's carry.

        With `recompute` the backward pass computes again what lies between the wide products: of these it keeps the
        results, all else (and the one narrow product, out of the eigenstates) costs more to keep than to compute.
        """
        run: Runner = recomputed if recompute else call
        states, gate, carry = self.mixer.evolve(self.mixer_norm(x), documents, carry, run)
        x, hidden = run(self._widen, x, states, gate)
        return x + run(self.mlp.narrow, hidden), carry

    def _widen(self, x: Tensor, states: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        """The residual stream past the mixer, and what the MLP's first product makes of it."""
        x = x + self.mixer.output(states, gate)
        return x, self.mlp.widen(self.mlp_norm(x))


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

    def widen(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, 2M)."""
        hidden: Tensor = self.up(x)
        return hidden

    def narrow(self, hidden: Tensor) -> Tensor:
        """(B, T, 2M) → (B, T, D)."""
        gate, value = hidden.chunk(2, dim=-1)
        down: Tensor = self.down(F.silu(gate) * value)
        return down

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        return self.narrow(self.widen(x))


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

    def widen(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, M)."""
        hidden: Tensor = self.up(x)
        return hidden

    def narrow(self, hidden: Tensor) -> Tensor:
        """(B, T, M) → (B, T, D)."""
        down: Tensor = self.down(F.silu(hidden))
        return down

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        return self.narrow(self.widen(x))
