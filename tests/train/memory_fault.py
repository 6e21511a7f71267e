"""A device that runs out of memory once, in the middle of a backward pass, as CUDA's allocator says it."""

import torch
from torch import Tensor, nn


def fail_once(model: nn.Module, at: int) -> None:
    """Make the `at`-th backward pass through `model`'s first parameter raise torch.OutOfMemoryError."""
    passes = iter(range(1, 10**9))

    def hook(_: Tensor) -> None:
        if next(passes) == at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB (injected)")

    next(model.parameters()).register_hook(hook)  # type: ignore[no-untyped-call]
