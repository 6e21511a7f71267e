"""The short convolution over time: depthwise, causal, within documents, handed on from call to call (torch)."""

import torch
from torch import Tensor

from ten.model.documents import Documents


def convolve(
    raw: Tensor, taps: Tensor | None, documents: Documents | None, carried: Tensor | None
) -> tuple[Tensor, Tensor]:
    """raw (B, T, W) under taps (J + 1, W), the newest first, and the last J inputs (B, J, W) to hand on.

    `carried` is what an earlier call handed on, None at the start; without taps nothing is done or handed on. Taps are
    float32 and so is what is handed on; the result has the type of `raw`.
    """
    rows, time, width = raw.shape
    if taps is None:
        return raw, torch.zeros(rows, 0, width, device=raw.device, dtype=_handed_on(raw))
    back = len(taps) - 1
    before = raw.new_zeros(rows, back, width) if carried is None else carried.to(raw.dtype)
    padded = torch.cat([before, raw], dim=1)
    weights = taps.to(raw.dtype)
    mixed = raw * weights[0]
    for j in range(1, back + 1):
        shifted = padded[:, back - j : back - j + time]
        mixed = torch.addcmul(mixed, shifted if documents is None else shifted * documents.reach[j - 1], weights[j])
    tail = padded[:, time:] if documents is None else padded[:, time:] * documents.tail
    return mixed, tail.to(taps.dtype)


def _handed_on(raw: Tensor) -> torch.dtype:
    return torch.promote_types(raw.dtype, torch.float32)
