"""Where documents start within the rows of one call, and what that hides from the layers (torch).

Nothing passes from one document to the next: the scan drops its carry at a start, and the convolution's taps and the
position table look at the document only. All layers of a call share one `Documents`.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Documents(NamedTuple):
    """What the layers need to know about document starts. B rows, T time, J = taps of the convolution - 1."""

    starts: Tensor
    """(B, T) bool: this token opens a document."""
    reach: Tensor
    """(J, B, T, 1) bool: [j] says that the input j + 1 steps before belongs to the token's own document."""
    tail: Tensor
    """(B, J, 1) bool: which of the last J inputs (of carried ones and these) belong to the last token's document."""


def documents(starts: Tensor, convolution: int) -> Documents:
    """Documents of a call from its (B, T) starts, for layers whose convolution has that many taps (0: none)."""
    rows, time = starts.shape
    back = max(convolution - 1, 0)
    index = torch.cumsum(starts, dim=1)
    padded = torch.cat([index.new_zeros(rows, back), index], dim=1)
    before = [padded[:, back - j : back - j + time] == index for j in range(1, back + 1)]
    reach = torch.stack(before).unsqueeze(-1) if before else starts.new_empty(0, rows, time, 1)
    return Documents(starts, reach, (padded[:, time:] == padded[:, -1:]).unsqueeze(-1))


def steps_in_document(starts: Tensor | None, length: int, carried: Tensor) -> Tensor:
    """(B, T) int64: tokens of its document before each token; `carried` (B,) counts those of earlier calls."""
    steps = torch.arange(length, device=carried.device) + carried.unsqueeze(1)
    if starts is None:
        return steps
    opened = torch.cummax(torch.where(starts, steps, -1), dim=1).values
    return steps - opened.clamp_min(0)
