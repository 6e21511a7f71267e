"""The fused backend: a chunk scan in three Triton kernels, forward and backward, for CUDA devices.

Every chunk of time is run from a zero state; the states at the chunk edges follow; every chunk is run again from its
true state. Backward is the same in reverse time, as in `ten.scan.chunked`, with eigenvalues made anew in registers. A
short sequence is one chunk and one kernel. Gradients in fixed eigenvalues are one sum a chunk, added up by torch: no
atomics, so the same arguments give the same bits.
"""

import math
import os
import sysconfig
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import torch
from torch import Tensor

from ten.scan.eigenvalues import Pair

# Up to here the launches of three kernels cost more than walking all steps in one.
ONE_CHUNK = 64
_LEAST_CHUNK = 16
_BLOCK = 64
_EDGE_BLOCK = 32
_LEAST_CAPABILITY = (8, 0)


@cache
def fused_lacks(device: torch.device) -> str | None:
    """What is missing to run the kernels on this device; None where nothing is.

    Triton builds what launches a kernel in C, so the machine must have a compiler and Python's headers.
    """
    if device.type != "cuda" or torch.version.cuda is None:
        return "a CUDA device"
    if torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        return "compute capability 8.0 or above"
    if find_spec("triton") is None:
        return "the package triton"
    if not (os.environ.get("CC") or which("gcc") or which("clang")):
        return "a C compiler (gcc or clang) for triton"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers (Python.h) for triton"
    return None


def fused_forward(
    inputs: Tensor, log_decay: Tensor, phase: Tensor, carry: Tensor, starts: Tensor | None, chunk: int | None = None
) -> Pair:
    """States (B, T, 2K) and final carry (B, 2K) as `ten.scan.scan` defines them; `chunk` None: as T asks for.

    Raises ValueError for fp64 and for a device that cannot run the kernels.
    """
    _check(inputs)
    states = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device)
    if not inputs.numel():
        return states, carry.clone(memory_format=torch.contiguous_format)
    final = torch.empty(carry.shape, dtype=carry.dtype, device=carry.device)
    launch = _Launch.of(inputs, log_decay, phase, starts, chunk)
    values = inputs.contiguous()
    with launch.device():
        entering = launch.entering(values, carry.contiguous(), reverse=False)
        launch.walk(_kernels().all_states, values, *launch.eigen, entering, states, final)
    return states, final


def fused_backward(
    d_states: Tensor,
    d_final: Tensor,
    log_decay: Tensor,
    phase: Tensor,
    carry: Tensor,
    starts: Tensor | None,
    states: Tensor,
    chunk: int | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients in inputs, log_decay, phase and carry."""
    states = states.contiguous()
    d_inputs, d_carry = torch.empty_like(states), d_final.clone(memory_format=torch.contiguous_format)
    if not states.numel():
        return d_inputs, torch.zeros_like(log_decay), torch.zeros_like(phase), d_carry
    launch = _Launch.of(states, log_decay, phase, starts, chunk)
    values = d_states.contiguous()
    d_log_decay, d_phase = launch.gradient(log_decay), launch.gradient(phase)
    with launch.device():
        # d_carry holds d_final until the last kernel, which reads it before it writes if there is one chunk
        arriving = launch.entering(values, d_carry, reverse=True)
        results = (d_inputs, d_log_decay, d_phase, d_carry)
        launch.walk(_kernels().all_gradients, values, *launch.eigen, carry.contiguous(), states, arriving, *results)
    return d_inputs, _total(d_log_decay, log_decay), _total(d_phase, phase), d_carry


@dataclass(frozen=True, kw_only=True)
class _Launch:
    """Grids and arguments that all kernels of one scan share."""

    rows: int
    steps: int
    width: int
    chunk: int
    eigen: tuple[Tensor, Tensor, Tensor | None]  # log_decay, phase, starts as bytes

    @classmethod
    def of(
        cls, values: Tensor, log_decay: Tensor, phase: Tensor, starts: Tensor | None, chunk: int | None
    ) -> "_Launch":
        rows, steps, width = values.shape
        flags = None if starts is None else starts.contiguous().view(torch.uint8)
        return cls(
            rows=rows,
            steps=steps,
            width=width // 2,
            chunk=chunk or chunk_steps(steps),
            eigen=(log_decay.contiguous(), phase.contiguous(), flags),
        )

    @property
    def chunks(self) -> int:
        return -(-self.steps // self.chunk)

    def device(self) -> AbstractContextManager[Any]:
        """Triton launches on the current device, whichever device its arguments are on."""
        where = self.eigen[0].device
        return torch.cuda.device(where if where.type == "cuda" else -1)

    def entering(self, values: Tensor, carry: Tensor, *, reverse: bool) -> Tensor:
        """The state that enters each chunk, (B, N, 2K): from the left, or from the right when `reverse`."""
        if self.chunks == 1:
            return carry.unsqueeze(1)
        kernels, edges = _kernels(), self.chunks - 1
        ends, products = (carry.new_empty(self.rows, edges, 2 * self.width) for _ in range(2))
        entering = carry.new_empty(self.rows, self.chunks, 2 * self.width)
        self.walk(kernels.chunk_ends, values, *self.eigen, ends, products, REVERSE=reverse, places=edges)
        self.run(kernels.carry_over, carry, ends, products, entering, self.chunks, block=_EDGE_BLOCK, REVERSE=reverse)
        return entering

    def walk(self, kernel: Any, *tensors: Tensor | None, places: int | None = None, **flags: bool) -> None:
        """Run a kernel that walks chunks of time."""
        log_decay, phase, _ = self.eigen
        flags |= {"MOVING_DECAY": log_decay.dim() > 1, "MOVING_PHASE": phase.dim() > 1}
        numbers = (self.steps, self.chunk, self.chunks)
        self.run(kernel, *tensors, *numbers, block=_BLOCK, places=places or self.chunks, **flags)

    def run(self, kernel: Any, *args: Tensor | int | None, block: int, places: int = 1, **flags: bool) -> None:
        """One warp for each row, place in time and block of eigenstates; nothing is staged in shared memory."""
        size = min(block, 1 << (self.width - 1).bit_length())
        programs = self.rows * places * -(-self.width // size)
        kernel[(programs,)](*args, K=self.width, BLOCK=size, num_warps=1, num_stages=1, enable_fp_fusion=True, **flags)

    def gradient(self, like: Tensor) -> Tensor:
        """Room for one gradient in eigenvalues: a step each where they move with time, else a chunk each."""
        shape = like.shape if like.dim() > 1 else (self.rows, self.chunks, self.width)
        return torch.empty(shape, dtype=like.dtype, device=like.device)


def chunk_steps(steps: int) -> int:
    """Steps of a chunk for T of them: about the root of T / 2, so that chunks and edges take as long to walk."""
    if steps <= ONE_CHUNK:
        return steps
    return max(_LEAST_CHUNK, 1 << math.isqrt(steps // 2).bit_length() - 1)


def _total(gradient: Tensor, like: Tensor) -> Tensor:
    """The gradient in what is fixed: its parts summed over rows and chunks."""
    return gradient if like.dim() > 1 else gradient.sum((0, 1))


def _check(inputs: Tensor) -> None:
    if inputs.dtype == torch.float64:
        raise ValueError("the fused scan keeps its state in float32: use backend 'chunked' for float64 inputs")
    missing = fused_lacks(inputs.device)
    if missing and not (find_spec("triton") and _kernels().INTERPRETED):
        raise ValueError(
            f"the fused scan cannot run on {inputs.device}: it lacks {missing}; use backend 'chunked' or 'auto'"
        )


def _kernels() -> Any:
    """The kernels' module; importing it imports triton, which takes as long as what a CPU run needs in all."""
    from ten.scan import kernels

    return kernels
