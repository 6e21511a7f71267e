"""The definition of the outer-product scan as a loop over time, differentiated by plain autograd."""

import torch
from torch import Tensor


def reference_outer_scan(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    log_decay: Tensor,
    phase: Tensor,
    carry: Tensor,
    starts: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H, P) and final carry (B, 2K, P), one step at a time; arguments as `outer_scan` checked them."""
    rows, steps, heads, width = values.shape
    turns = torch.polar(torch.ones_like(phase), phase)
    decays = log_decay.exp().expand(rows, steps, heads)
    if starts is not None:
        decays = decays * ~starts.unsqueeze(-1)
    read, write = (_complex(x.to(carry.dtype), heads) for x in (queries, keys))
    pushed = values.to(carry.dtype)
    state = torch.complex(*carry.chunk(2, dim=1)).view(rows, heads, -1, width)
    outputs = []
    for t in range(steps):
        factor = decays[:, t, :, None] * turns
        state = factor.unsqueeze(-1) * state + write[:, t].unsqueeze(-1) * pushed[:, t].unsqueeze(2)
        outputs.append((read[:, t].conj().unsqueeze(-1) * state).real.sum(2))
    final = state.reshape(rows, -1, width)
    stacked = torch.stack(outputs, dim=1) if outputs else pushed
    return stacked.to(values.dtype), torch.cat([final.real, final.imag], dim=1)


def _complex(x: Tensor, heads: int) -> Tensor:
    """(B, T, 2K) as complex (B, T, H, N)."""
    real, imaginary = x.reshape(*x.shape[:2], 2, heads, x.shape[2] // (2 * heads)).unbind(2)
    return torch.complex(real.contiguous(), imaginary.contiguous())
