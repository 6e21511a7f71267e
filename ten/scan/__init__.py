"""The scan: one public call for the diagonal complex recurrence h_t = λ_t h_{t-1} + x_t, and its choice of backend."""

from collections.abc import Callable

import torch
from torch import Tensor

from ten.scan.auto import auto_backward, auto_forward
from ten.scan.chunked import chunked_backward, chunked_forward
from ten.scan.fused import fused_backward, fused_forward
from ten.scan.operator import scan_operator
from ten.scan.reference import reference_scan

__all__ = ["BACKENDS", "scan"]

_BACKENDS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]] = {
    "auto": scan_operator("auto", auto_forward, auto_backward),
    "reference": reference_scan,
    "chunked": scan_operator("chunked", chunked_forward, chunked_backward),
    "fused": scan_operator("fused", fused_forward, fused_backward),
}
BACKENDS = tuple(_BACKENDS)
_INPUT_DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def scan(
    inputs: Tensor,
    log_decay: Tensor,
    phase: Tensor,
    *,
    carry: Tensor | None = None,
    starts: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """All states of h_t = λ_t h_{t-1} + x_t, with λ_t = exp(log_decay_t + i·phase_t), and the last one.

    The state is the eigenstate vector of Temporal Eigenstate Networks. Arithmetic runs in fp32 (fp64 for fp64
    inputs) inside and outside of autocast. The result is causal and does not depend on where time is split: running
    two halves with the carry handed over equals running the whole. First derivatives only, in `inputs`, `log_decay`,
    `phase` and `carry`.

    Args:
        inputs: (B, T, 2K) in fp32, fp64 or bf16; K real parts, then K imaginary parts. T may be 0.
        log_decay: log|λ| <= 0, (K,) fixed or (B, T, K) selective; fp32 (fp64 with fp64 inputs).
        phase: arg λ in radians, (K,) or (B, T, K) whatever `log_decay` has; dtype as `log_decay`.
        carry: (B, 2K) state before the first step, dtype as `log_decay`; None is zeros.
        starts: (B, T) bool, true where a document starts: λ_t is 0 there, so no state crosses into it.
        backend: one of `BACKENDS`; "auto" takes the fastest one that this device and dtype can have, at every length.

    Returns:
        states (B, T, 2K) in the dtype of `inputs`, and the final carry (B, 2K) in the dtype of `log_decay`.

    Raises:
        ValueError: an argument has the wrong shape, dtype or device, or the backend is unknown or cannot run here.
    """
    _check_inputs(inputs)
    _check_eigenvalues("log_decay", log_decay, inputs)
    _check_eigenvalues("phase", phase, inputs)
    if starts is not None:
        _check("starts", starts, [tuple(inputs.shape[:2])], torch.bool, inputs)
    if backend not in _BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; use one of {', '.join(BACKENDS)}")
    if carry is None:
        carry = log_decay.new_zeros(inputs.shape[0], inputs.shape[2])
    else:
        _check("carry", carry, [(inputs.shape[0], inputs.shape[2])], _state_dtype(inputs), inputs)
    return _BACKENDS[backend](inputs, log_decay, phase, carry, starts)


def _check_inputs(inputs: Tensor) -> None:
    if inputs.dim() != 3 or inputs.shape[2] % 2:
        raise ValueError(f"inputs have shape {tuple(inputs.shape)}; expected (B, T, 2K)")
    if inputs.dtype not in _INPUT_DTYPES:
        raise ValueError(f"inputs have dtype {inputs.dtype}; expected float32, float64 or bfloat16")


def _check_eigenvalues(name: str, value: Tensor, inputs: Tensor) -> None:
    rows, steps, width = inputs.shape
    _check(name, value, [(width // 2,), (rows, steps, width // 2)], _state_dtype(inputs), inputs)


def _check(name: str, value: Tensor, shapes: list[tuple[int, ...]], dtype: torch.dtype, inputs: Tensor) -> None:
    if tuple(value.shape) not in shapes:
        problem = f"has shape {tuple(value.shape)}; expected {' or '.join(map(str, shapes))}"
    elif value.dtype != dtype:
        problem = f"has dtype {value.dtype}; expected {dtype}"
    elif value.device != inputs.device:
        problem = f"is on {value.device}; expected {inputs.device}"
    else:
        return
    raise ValueError(f"{name} {problem} beside inputs {tuple(inputs.shape)} {inputs.dtype}")


def _state_dtype(inputs: Tensor) -> torch.dtype:
    return torch.float64 if inputs.dtype == torch.float64 else torch.float32
