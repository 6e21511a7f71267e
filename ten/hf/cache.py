"""The cache of transformers' generation: our carry, of one size however much was read (torch, transformers)."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from ten.hf.padding import Rows
from ten.model.lm import Carry


class TenCache(Cache):  # type: ignore[misc]
    """What `TenForCausalLM` hands from call to call: the model's carry, and where each row's text stands.

    A call replaces its content and changes no tensor of it, so a `copy.copy` taken before keeps a prompt for later.
    """

    carry: Carry | None
    rows: Rows | None
    length: int
    """Tokens read, padding included."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.carry, self.rows, self.length = None, None, 0

    def put(self, carry: Carry, rows: Rows, tokens: int) -> None:
        """Take what a call over `tokens` more columns has left."""
        self.carry, self.rows, self.length = carry, rows, self.length + tokens

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens read so far, of every layer alike."""
        return self.length

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """-1: there is none."""
        return -1

    def __len__(self) -> int:
        return 0 if self.carry is None else len(self.carry.layers)

    @property
    def batch_size(self) -> int:
        """Rows; -1 before the first call."""
        return -1 if self.rows is None else len(self.rows.opened)

    @property
    def is_croppable(self) -> bool:
        """No: a recurrence cannot be run backwards."""
        return False

    def crop(self, tokens_to_remove: int) -> None:
        """Refuse to forget single tokens; ValueError unless it is none."""
        if tokens_to_remove:
            raise ValueError("a TEN cache cannot forget its last tokens: keep a copy of the cache from before them")

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Row i becomes what row `beam_idx[i]` was, for beam search."""
        self._change(lambda tensor: tensor.index_select(0, beam_idx.to(tensor.device)))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows."""
        self._change(lambda tensor: tensor[indices.to(tensor.device)])

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Every row so many times, one after another."""
        self._change(lambda tensor: torch.repeat_interleave(tensor, repeats, dim=0))

    def _change(self, change: Callable[[Tensor], Tensor]) -> None:
        self.carry, self.rows = _each(self.carry, change), _each(self.rows, change)


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A nest of tuples and dataclasses with every tensor in it changed; their first axis is always the rows."""
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _each(getattr(value, field.name), change) for field in fields(value)})
    if isinstance(value, tuple):
        parts = [_each(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
