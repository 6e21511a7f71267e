"""The transformer that quality.py and gpu.py compare with: RMSNorm, rotary attention, SwiGLU, tied head."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ten.model.loss import linear_cross_entropy
from ten.model.presets import padded_vocabulary


class Transformer(nn.Module):
    """The usual decoder, with the calls of the language model that the benchmark makes."""

    def __init__(self, *, vocabulary: int, layers: int, width: int, heads: int, mlp_width: int, seq_len: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(padded_vocabulary(vocabulary), width)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, mlp_width, layers) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        nn.init.normal_(self.embedding.weight, std=0.02)
        half = width // heads // 2
        angles = torch.arange(seq_len)[:, None] * 10000 ** (-torch.arange(half) / half)
        self.register_buffer("angles", angles, persistent=False)
        self.recompute = False

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        """(B, T) → hidden (B, T, D), and no carry."""
        x = self.embedding(tokens)
        angles = self.get_buffer("angles")[: tokens.shape[1]]
        for block in self.blocks:
            x = checkpoint(block, x, angles, use_reentrant=False) if self.recompute else block(x, angles)
        return self.norm(x), None

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) → (..., V)."""
        return F.linear(hidden, self.embedding.weight[: self.vocabulary])

    def loss(self, tokens: Tensor) -> Tensor:
        """Summed nats of predicting tokens[:, 1:]."""
        hidden = self(tokens[:, :-1])[0].flatten(0, 1)
        weight = self.embedding.weight
        return linear_cross_entropy(hidden, weight, tokens[:, 1:].flatten(), vocabulary=self.vocabulary)

    def no_decay_names(self) -> set[str]:
        """The same rule as the language model's."""
        return {name for name, p in self.named_parameters() if p.dim() < 2 or name == "embedding.weight"}


class TransformerBlock(nn.Module):
    """Attention and SwiGLU, each on a norm and beside the residual stream; start values by the default model's rule."""

    def __init__(self, width: int, heads: int, mlp_width: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.mixer_norm, self.mlp_norm = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 2 * mlp_width, bias=False), nn.Linear(mlp_width, width, bias=False)
        for linear in (self.qkv, self.up):
            nn.init.normal_(linear.weight, std=0.5 / math.sqrt(linear.in_features))
        for linear in (self.out, self.down):
            nn.init.normal_(linear.weight, std=0.5 / math.sqrt(2 * layers * linear.in_features))

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """x (B, T, D), angles (T, D / 2H)."""
        rows, steps, width = x.shape
        split = self.qkv(self.mixer_norm(x)).view(rows, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key = rotated(split[0], angles), rotated(split[1], angles)
        mixed = F.scaled_dot_product_attention(query, key, split[2], is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, steps, width))
        gate, value = self.up(self.mlp_norm(x)).chunk(2, dim=-1)
        down: Tensor = self.down(F.silu(gate) * value)
        return x + down


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Rotary position embedding of x (B, H, T, D / H), in its dtype: attention's fast kernels want all three alike."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x.dtype)
