"""Where tensors live and in which precision matrix products run, from what the job says and the machine has."""

import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Literal

import torch

from ten.errors import Resumable, SpecError
from ten.train.machine import processor
from ten.train.settings import Compile, Precision, TrainSettings, Weights

_GPU_FAULTS = ("CUDA error", "CUDA driver error", "Triton Error [CUDA]", "CUBLAS_STATUS_")
"""What cuBLAS, Triton and the driver say, whose errors have no type of their own."""
_NO_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")


class GpuFailed(Resumable):
    """A GPU has failed, and what it held is lost: the same command goes on from the last checkpoint."""


def open_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of this process: auto takes the GPU of `local_rank` when there is CUDA, else the CPU."""
    available = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if available else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SpecError(f"train.device: {name!r} is no device; write auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        if not available:
            raise SpecError(f"train.device: {name} is asked for, but torch {torch.__version__} sees no CUDA GPU here")
        there, named = torch.cuda.device_count(), name.partition(":")[2]
        if not named:  # a launcher may show each rank its own card alone
            device = torch.device("cuda", 0 if there == 1 else local_rank)
        if device.index >= there:
            raise SpecError(
                f"train.device: {device} is asked for, and torch sees {there} CUDA GPUs here, from cuda:0 on"
            )
        torch.cuda.set_device(device)
    return device


def resolve_precision(precision: Precision, device: torch.device, weights: Weights = "fp32") -> Literal["fp32", "bf16"]:
    """`auto` is bf16 on CUDA and for bf16 weights, which have no other products, and fp32 elsewhere."""
    if precision == "auto":
        return "bf16" if device.type == "cuda" or weights == "bf16" else "fp32"
    return precision


def resolve_compile(compile: Compile, device: torch.device) -> bool:
    """`auto` compiles on CUDA and not elsewhere."""
    return compile in (True, "on") or (compile == "auto" and device.type == "cuda")


def autocast(precision: Literal["fp32", "bf16"], device: torch.device) -> AbstractContextManager[None]:
    """A fresh context for one forward pass: bf16 matrix products, or nothing for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def device_name(device: torch.device) -> str:
    """The name of a GPU, or of this machine's processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor() or platform.machine()


def autocast_of(settings: TrainSettings, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """What makes a fresh context for a pass of a run with such settings."""
    return partial(autocast, resolve_precision(settings.precision, device, settings.weights), device)


def lacks_memory(error: Exception) -> bool:
    """Whether an error says that the device has too little memory: the allocator's does by its type, and the driver's,
    cuBLAS's and the CPU's by their words, wherever a library asks them itself (a kernel that is loaded, a workspace).
    """
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _NO_MEMORY)


@contextmanager
def named_faults() -> Iterator[None]:
    """Raise GpuFailed for what torch raises when a GPU fails: its memory is lost, so that nothing more can be saved.

    And SpecError where the device has too little memory for what no level of `train.memory` makes smaller.
    """
    try:
        yield
    except RuntimeError as error:
        if lacks_memory(error):
            raise SpecError(
                f"out of device memory: {str(error).splitlines()[0]} `ten plan` says what the weights and the optimizer"
                " take: choose a smaller model, --set train.optimizer=adamw8bit or --set train.weights=bf16, or another"
                " card. What was trained since the last checkpoint is lost; earlier ones are sound"
            ) from error
        if not isinstance(error, torch.AcceleratorError) and not any(words in str(error) for words in _GPU_FAULTS):
            raise
        raise GpuFailed(
            f"the GPU failed: {str(error).splitlines()[0]}. What was trained since the last checkpoint is lost; run "
            "the same command again to go on, on another machine where it fails again (dmesg there names an Xid)"
        ) from error
