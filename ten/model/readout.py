"""Readouts: eigenstates, or what is read from them, under a gate to the width of the model (torch)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ten.model.presets import ModelConfig
from ten.model.start import initialise, weight_std

_NORM_EPSILON = 1e-6


class CoupledProjection(nn.Module):
    """Eigenstates (B, T, 2K) to the width (B, T, D), through a block-diagonal coupling R of each head's, and gated.

    The coupling acts alike on real and imaginary parts and is linear, so it is folded into the projection once for
    each pass: W · blockdiag(R, R). A token pays nothing for it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.projection = nn.Linear(2 * config.eigenstates, config.width, bias=False)
        block = config.eigenstates // config.heads
        self.coupling = nn.Parameter(torch.empty(config.heads, block, block)) if config.coupling else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small projection; coupling at the identity."""
        initialise(self.projection, weight_std(self.config, self.projection.in_features, residual=True))
        if self.coupling is not None:
            with torch.no_grad():
                self.coupling.copy_(torch.eye(self.coupling.shape[1], device=self.coupling.device))

    def weight(self) -> Tensor:
        """(D, 2K), the projection with the coupling folded in."""
        plain = self.projection.weight
        if self.coupling is None:
            return plain
        with torch.autocast(plain.device.type, enabled=False):
            blocks = plain.view(plain.shape[0], 2, self.config.heads, -1)
            return torch.einsum("dphj,hjk->dphk", blocks.to(self.coupling.dtype), self.coupling).reshape(plain.shape)

    def forward(self, states: Tensor, gate: Tensor) -> Tensor:
        """states (B, T, 2K) and logits of the gate (B, T, D) → (B, T, D)."""
        few = states.shape[:-1].numel() < self.projection.out_features
        read = F.linear(self._coupled(states), self.projection.weight) if few else F.linear(states, self.weight())
        return read * torch.sigmoid(gate)

    def _coupled(self, states: Tensor) -> Tensor:
        """The coupling applied to the states themselves: cheaper than folding where tokens are few, as in decoding."""
        if self.coupling is None:
            return states
        with torch.autocast(states.device.type, enabled=False):
            blocks = states.to(self.coupling.dtype).reshape(*states.shape[:-1], 2, self.config.heads, -1)
            return torch.einsum("...phk,hjk->...phj", blocks, self.coupling).reshape(states.shape)


class NormedProjection(nn.Module):
    """Outputs (B, T, H, P) of the heads, each normed, under a sigmoid gate, to the width (B, T, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.width // config.heads, eps=_NORM_EPSILON)
        self.projection = nn.Linear(config.width, config.width, bias=False)

    def forward(self, mixed: Tensor, gate: Tensor) -> Tensor:
        """mixed (B, T, H, P) and logits of the gate (B, T, D) → (B, T, D)."""
        normed = self.norm(mixed.to(self.norm.weight.dtype)).flatten(-2)
        projected: Tensor = self.projection(normed * torch.sigmoid(gate))
        return projected
