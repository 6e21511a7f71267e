"""The reference backend: the definition of the scan as a loop over time, differentiated by plain autograd."""

import torch
from torch import Tensor


def reference_scan(
    inputs: Tensor, log_decay: Tensor, phase: Tensor, carry: Tensor, starts: Tensor | None
) -> tuple[Tensor, Tensor]:
    """States (B, T, 2K) and final carry (B, 2K), one step at a time; arguments as `ten.scan.scan` checked them."""
    rows, steps, width = inputs.shape
    shape = (rows, steps, width // 2)
    decay = log_decay.exp()
    if starts is not None:
        decay = decay * ~starts.unsqueeze(-1)
    eigen_re = (decay * phase.cos()).expand(shape).unbind(1)
    eigen_im = (decay * phase.sin()).expand(shape).unbind(1)
    pushes = inputs.to(carry.dtype).unbind(1)

    state = carry
    states = []
    for push, lam_re, lam_im in zip(pushes, eigen_re, eigen_im, strict=True):
        re, im = state.chunk(2, dim=-1)
        state = torch.cat((lam_re * re - lam_im * im, lam_re * im + lam_im * re), dim=-1) + push
        states.append(state)
    if not states:
        return inputs.clone(), carry.clone()
    return torch.stack(states, dim=1).to(inputs.dtype), state
