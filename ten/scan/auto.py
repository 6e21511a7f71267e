"""The choice of backend by what the device and dtype can have, made where the scan runs: never by length."""

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ten.scan.chunked import chunked_backward, chunked_forward
from ten.scan.eigenvalues import Pair
from ten.scan.fused import fused_backward, fused_forward, fused_lacks

log = logging.getLogger(__name__)


def auto_forward(inputs: Tensor, *args: Any) -> Pair:
    """`fused_forward` or `chunked_forward`."""
    return fused_forward(inputs, *args) if _fused(inputs) else chunked_forward(inputs, *args)


def auto_backward(d_states: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The backward pass of what `auto_forward` chose."""
    return fused_backward(d_states, *args) if _fused(d_states) else chunked_backward(d_states, *args)


def _fused(values: Tensor) -> bool:
    return values.dtype != torch.float64 and _fused_runs_on(values.device)


@cache
def _fused_runs_on(device: torch.device) -> bool:
    missing = fused_lacks(device)
    if missing and device.type == "cuda":
        log.warning(
            "the scan on %s runs in plain PyTorch, which is slower than the fused one: it lacks %s", device, missing
        )
    return missing is None
