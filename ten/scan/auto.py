"""The choice of backend by what the device and dtype can have, made where the scan runs: never by length."""

from typing import Any

import torch
from torch import Tensor

from ten.scan.chunked import chunked_backward, chunked_forward
from ten.scan.eigenvalues import Pair
from ten.scan.fused import fused_backward, fused_forward, fused_runs_on


def auto_forward(inputs: Tensor, *args: Any) -> Pair:
    """`fused_forward` or `chunked_forward`."""
    return fused_forward(inputs, *args) if _fused(inputs) else chunked_forward(inputs, *args)


def auto_backward(d_states: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The backward pass of what `auto_forward` chose."""
    return fused_backward(d_states, *args) if _fused(d_states) else chunked_backward(d_states, *args)


def _fused(values: Tensor) -> bool:
    return values.dtype != torch.float64 and fused_runs_on(values.device)
