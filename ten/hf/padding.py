"""Padding: which tokens open a document, so that what stands before a text in its row changes nothing (torch)."""

from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """Where the text of each of B rows stands after a call; each (B,) bool."""

    opened: Tensor
    """It has begun: the columns so far were not all padding."""
    ended: Tensor
    """Its last token was the end of a document."""
    closed: Tensor | None = None
    """Padding has followed it, which the carry has read too: no more text can. None where no row has any."""


def place(
    tokens: Tensor, mask: Tensor | None, before: Rows | None, *, end_of_document: int | None
) -> tuple[Tensor, Rows]:
    """Document starts (B, T) of a call over tokens (B, T), and where the rows stand after it.

    A row's first real token opens a document, and so does every real token after `end_of_document` (None: no other
    does). `mask` (B, T), or with earlier calls' columns before these, is 0 where there is padding; None: nowhere.

    Raises ValueError for a mask of another shape and for text that goes on behind padding: a recurrence has read the
    padding by then.
    """
    real = _real(tokens, mask)
    nothing = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    before = before or Rows(nothing, nothing)
    opened = _ever(before.opened, real)
    starts, ended = real & ~opened[:, :-1], before.ended.unsqueeze(1)
    if end_of_document is not None:
        ended = torch.cat([ended, real & (tokens == end_of_document)], dim=1)
        starts = starts | (real & ended[:, :-1])
    closed = None
    if mask is not None or before.closed is not None:  # else nothing is asked of the device
        ever_closed = _ever(nothing if before.closed is None else before.closed, opened[:, 1:] & ~real)
        if bool((ever_closed[:, :-1] & real).any()):
            raise ValueError(
                "attention_mask: a row's text goes on behind padding, which TEN's state has read; pad on the left "
                "(padding_side='left'), with nothing masked between a row's tokens"
            )
        closed = ever_closed[:, -1] if bool(ever_closed[:, -1].any()) else None
    return starts, Rows(opened[:, -1], ended[:, -1], closed)


def has_padding_behind(mask: Tensor) -> bool:
    """Whether a row of a mask (B, T) has padding after text."""
    return bool((torch.cummax(mask.long(), dim=1).values > mask).any())


def _real(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T) bool: which tokens are no padding."""
    rows, time = tokens.shape
    if mask is None:
        return torch.ones_like(tokens, dtype=torch.bool)
    if mask.dim() != 2 or len(mask) != rows or mask.shape[1] < time:
        raise ValueError(
            f"attention_mask is {tuple(mask.shape)}; it wants a column for each of input_ids' {rows, time}"
        )
    return mask[:, mask.shape[1] - time :].to(tokens.device, torch.bool)


def _ever(before: Tensor, now: Tensor) -> Tensor:
    """(B, 1 + T): whether it was so before the call, or in it up to each column."""
    return torch.cummax(torch.cat([before.unsqueeze(1), now], dim=1).long(), dim=1).values.bool()
