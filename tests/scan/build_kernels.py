"""Prints every kernel that scans of several lengths launch on a GPU of a capability, without one: built, not launched.

    python -m tests.scan.build_kernels CAPABILITY fixed|selective

A process of its own, as Triton asks for its device once and for all. One line a kernel: name, bytes of shared memory.
"""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget

from ten.scan import fused, kernels

NAMES = ("chunk_ends", "carry_over", "all_states", "all_gradients")
# B, T: one chunk and many, lengths that are multiples of powers of two and lengths that are not.
SHAPES = [(2, 200), (1, 1), (1, 64), (3, 256), (2, 1000), (16, 1024), (1, 1 << 17)]
WIDTH = 160


class Builder:
    """Stands for a kernel: builds what a launch would, and notes it."""

    def __init__(self, name: str, built: dict[str, str]) -> None:
        self.kernel: Any = getattr(kernels, name)
        self.name = name
        self.built = built

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def build(*args: Any, **options: Any) -> None:
            made = self.kernel.warmup(*args, grid=grid, **options)
            assert made.asm["cubin"]
            self.built[made.hash] = f"{self.name} {made.metadata.shared}"

        return build


def pretend(capability: int) -> None:
    """Make Triton take this machine for one with a GPU of that capability."""
    driver = SimpleNamespace(
        get_current_device=lambda: 0,
        get_current_stream=lambda _: 0,
        get_current_target=lambda: GPUTarget("cuda", capability, 32),
    )
    triton.runtime.driver.set_active(driver)


def scan_all(decay: str, starts: bool) -> None:
    """Forward and backward at every shape, in bf16; the results mean nothing."""
    for rows, steps in SHAPES:
        inputs, carry = torch.empty(rows, steps, 2 * WIDTH, dtype=torch.bfloat16), torch.empty(rows, 2 * WIDTH)
        log_decay = torch.empty(rows, steps, WIDTH) if decay == "selective" else torch.empty(WIDTH)
        flags = torch.empty(rows, steps, dtype=torch.bool) if starts else None
        eigen = log_decay, torch.empty(WIDTH), carry, flags
        states, final = fused.fused_forward(inputs, *eigen)
        fused.fused_backward(states, final, *eigen, states, None)


def main() -> None:
    capability, decay = sys.argv[1:]
    pretend(int(capability))
    built: dict[str, str] = {}
    fused._check = lambda inputs: None
    fused._kernels = lambda: SimpleNamespace(**{name: Builder(name, built) for name in NAMES})
    scan_all(decay, starts=decay == "selective")
    sys.stdout.write("\n".join(sorted(built.values())) + "\n")


if __name__ == "__main__":
    main()
