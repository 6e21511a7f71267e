"""Decoding: one token at a time from a carry, with buffers that stay where they are; on CUDA a replayed graph (torch).

A step reads every weight once and launches hundreds of small kernels; launched one by one they take longer than the
reading. A CUDA graph launches them all at once, and needs inputs, outputs and carry at fixed addresses.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from ten.model.lm import Carry, LanguageModel
from ten.model.mixer import LayerCarry

_WARM_UP = 3
"""Steps before the capture, as torch's manual asks: libraries set themselves up and kernels are compiled in them."""


class Decoder:
    """Feeds tokens of B rows to a model, from a carry on. Its steps cost the same after any number of tokens."""

    @torch.no_grad()
    def __init__(self, model: LanguageModel, carry: Carry) -> None:
        """`carry` is copied; the model's weights must stay where and what they are."""
        self._model = model
        self._carry = _clone(carry)
        rows, device = len(carry.layers[0].state), carry.layers[0].state.device
        self._tokens = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        self._captured = self._capture(carry) if device.type == "cuda" else None

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        """Feed tokens (B,), none of which opens a document; logits (B, V) of the next ones, until the next step."""
        self._tokens.copy_(tokens.unsqueeze(1))
        if self._captured is None:
            return self._advance()
        graph, logits = self._captured
        graph.replay()
        return logits

    def carry(self) -> Carry:
        """The carry after the last step, a copy."""
        return _clone(self._carry)

    def _advance(self) -> Tensor:
        hidden, carry = self._model(self._tokens, None, self._carry)
        _copy(carry, self._carry)
        return self._model.logits(hidden[:, -1])

    def _capture(self, carry: Carry) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """The graph of a step, and where it leaves its logits."""
        with torch.cuda.device(self._tokens.device), _without_cast_cache():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    self._advance()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                logits = self._advance()
            _copy(carry, self._carry)  # what the steps so far have made of it is forgotten
        return graph, logits


def _without_cast_cache() -> AbstractContextManager[None]:
    """As it is, but without autocast's narrow copies of weights: those go with autocast, and the graph would keep their
    addresses."""
    enabled, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    return torch.autocast("cuda", dtype=dtype, enabled=enabled, cache_enabled=False)


def _clone(carry: Carry) -> Carry:
    layers = tuple(LayerCarry(layer.state.clone(), layer.taps.clone()) for layer in carry.layers)
    return Carry(layers, None if carry.position is None else carry.position.clone())


def _copy(source: Carry, target: Carry) -> None:
    for new, old in zip(source.layers, target.layers, strict=True):
        old.state.copy_(new.state)
        old.taps.copy_(new.taps)
    if source.position is not None and target.position is not None:
        target.position.copy_(source.position)
