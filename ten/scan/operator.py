"""A scan as an operator of torch: one node of a graph to `torch.compile`, with its gradient, whatever its kernels are.

It is registered piece by piece: `torch.library.custom_op` would import torch's compiler with the first call.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ten.scan.eigenvalues import Pair

Forward = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None, int | None], Pair]
Gradients = tuple[Tensor, Tensor, Tensor, Tensor]
Backward = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor, int | None], Gradients]

_LIBRARY = torch.library.Library("ten", "DEF")  # type: ignore[no-untyped-call]
_EIGEN = "Tensor log_decay, Tensor phase, Tensor carry, Tensor? starts"


def scan_operator(name: str, forward: Forward, backward: Backward) -> Callable[..., Pair]:
    """Register `forward` and its gradient as `ten::NAME_scan` and `ten::NAME_scan_backward`; returns the former.

    The operator takes inputs, log_decay, phase, carry, starts and chunk (steps, or None for the backend's own choice)
    as `ten.scan.scan` has checked them. It saves the states instead of the inputs: dλ_t needs h_{t-1}, and whoever
    reads the states keeps them anyway. `backward` gets the gradients of both results, then what the operator took
    without the inputs but with the states before `chunk`; it returns one each for inputs, log_decay, phase and carry.
    """
    schema = f"{name}_scan(Tensor inputs, {_EIGEN}, int? chunk=None) -> (Tensor states, Tensor final)"
    operator = _register(schema, forward, _fake_forward)
    slopes = "Tensor d_inputs, Tensor d_log_decay, Tensor d_phase, Tensor d_carry"
    schema = f"{name}_scan_backward(Tensor d_states, Tensor d_final, {_EIGEN}, Tensor states, int? chunk) -> ({slopes})"
    gradients = _register(schema, backward, _fake_backward)

    def differentiate(ctx: Any, d_states: Tensor, d_final: Tensor) -> tuple[Tensor | None, ...]:
        # Refused here: the gradient's operator has none of its own, and would lose the second derivative in silence.
        if torch.is_grad_enabled():
            raise RuntimeError("the scan has first derivatives only (create_graph=True); use backend='reference'")
        return *gradients(d_states, d_final, *ctx.saved_tensors, ctx.chunk), None, None

    torch.library.register_autograd(f"ten::{name}_scan", differentiate, setup_context=_save, lib=_LIBRARY)
    return operator


def _register(schema: str, kernel: Callable[..., Any], fake: Callable[..., Any]) -> Callable[..., Any]:
    name = schema[: schema.index("(")]
    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"ten::{name}", fake, lib=_LIBRARY)
    operator: Callable[..., Any] = getattr(torch.ops.ten, name).default
    return operator


def _save(ctx: Any, inputs: tuple[Any, ...], output: Pair) -> None:
    _, log_decay, phase, carry, starts, ctx.chunk = inputs
    ctx.save_for_backward(log_decay, phase, carry, starts, output[0])


def _fake_forward(inputs: Tensor, log_decay: Tensor, phase: Tensor, carry: Tensor, *_: Any) -> Pair:
    return _like(inputs), _like(carry)


def _fake_backward(
    d_states: Tensor, d_final: Tensor, log_decay: Tensor, phase: Tensor, carry: Tensor, *_: Any
) -> Gradients:
    return _like(d_states), _like(log_decay), _like(phase), _like(carry)


def _like(value: Tensor) -> Tensor:
    """Both backends give contiguous results, whatever strides they get."""
    return torch.empty(value.shape, dtype=value.dtype, device=value.device)
