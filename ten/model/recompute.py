"""Activations that are computed again when the backward pass needs them, instead of being kept (torch).

Sublinear-memory training (Chen et al., arXiv 1604.06174). torch has the same in `torch.utils.checkpoint`, which imports
torch's compiler at its first call; inside a function that is being compiled, torch's is the one that is used.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

_T = TypeVar("_T")


class Runner(Protocol):
    """A way to call a function: `call`, or `recomputed`."""

    def __call__(self, function: Callable[..., _T], *inputs: Any) -> _T: ...


def call(function: Callable[..., _T], *inputs: Any) -> _T:
    """`function(*inputs)`."""
    return function(*inputs)


def recomputed(function: Callable[..., _T], *inputs: Any) -> _T:
    """`function(*inputs)`, of which the graph keeps the inputs alone.

    What operations inside save for their backward pass is computed again, by a second call, when the first of it is
    asked for. That call ends at the last tensor that was saved: an operation at the end of `function` that saves its
    inputs alone (a matrix product) is not repeated. `function` must be deterministic, draw no random numbers and change
    nothing.
    """
    if torch.compiler.is_compiling():
        from torch.utils.checkpoint import checkpoint

        result: _T = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
        return result
    if not torch.is_grad_enabled():
        return function(*inputs)
    first = _Call(function, inputs)
    with saved_tensors_hooks(first.drop, first.fetch):
        return function(*inputs)


class _Enough(Exception):
    """Everything that was saved has been computed again."""


class _Call:
    """One call, in place of the tensors that were saved in it: each is known by its number, in order of saving."""

    def __init__(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        self._function, self._inputs = function, inputs
        self._saved = 0
        self._again: dict[int, Tensor] = {}
        device = next(x.device.type for x in inputs if isinstance(x, Tensor))
        self._autocast: dict[str, Any] = {
            "device_type": device,
            "enabled": torch.is_autocast_enabled(device),
            "dtype": torch.get_autocast_dtype(device),
        }

    def drop(self, tensor: Tensor) -> int:
        """The number that is kept instead of `tensor`."""
        self._saved += 1
        return self._saved - 1

    def fetch(self, number: int) -> Tensor:
        """The tensor of that number, computed again; handed out once, so that it lives no longer than needed."""
        if number not in self._again:
            self._repeat()
        return self._again.pop(number)

    def _repeat(self) -> None:
        self._again.clear()
        try:
            with torch.enable_grad(), torch.autocast(**self._autocast), saved_tensors_hooks(self._collect, _lost):
                self._function(*self._inputs)
        except _Enough:
            return

    def _collect(self, tensor: Tensor) -> None:
        self._again[len(self._again)] = tensor.detach()
        if len(self._again) == self._saved:
            raise _Enough


def _lost(_: None) -> Tensor:
    raise RuntimeError("the repeated call has a backward pass of its own; only the first one's is run")
