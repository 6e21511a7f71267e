"""The device that gpu.py measures: its name and peak, time and memory of what runs on it, time left for a section."""

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property

import torch

from benchmarks.support.gpu_report import NotMeasured
from ten.hardware import Gpu, find_gpu

_WORTH_MEASURING_S, _MOST_AT_ONCE = 0.02, 50


@dataclass(kw_only=True)
class Bench:
    """One device, and until when a section may use it."""

    device: torch.device
    quick: bool
    deadline: float = field(default=float("inf"))
    """By the monotonic clock."""

    @property
    def is_gpu(self) -> bool:
        """Whether figures mean anything."""
        return self.device.type == "cuda"

    @cached_property
    def name(self) -> str:
        """What torch calls the card."""
        return torch.cuda.get_device_name(self.device) if self.is_gpu else "CPU"

    @cached_property
    def card(self) -> Gpu | None:
        """Its data sheet, where we have it."""
        return find_gpu(self.name)

    @property
    def left_s(self) -> float:
        """Seconds until the section's time is over."""
        return self.deadline - time.monotonic()

    def autocast(self) -> AbstractContextManager[None]:
        """bf16 matrix products, as training has them on a GPU; fp32 on a CPU."""
        return torch.autocast("cuda", dtype=torch.bfloat16) if self.is_gpu else nullcontext()

    def mfu(self, tokens_per_s: float, flops_per_token: float) -> float | None:
        """Part of the card's dense bf16 peak; None for a card that is not known."""
        return tokens_per_s * flops_per_token / self.card.bf16_flops if self.card else None

    def synchronise(self) -> None:
        """Wait for what was begun."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], *, warm_up: int = 2, least: int = 3, aim_s: float = 0.4) -> float:
        """Median time of a call, after `warm_up` calls; `least` measurements and more up to `aim_s` in all.

        Short calls are measured several at a time, so that a GPU works on one while the next is being launched.
        """
        for _ in range(warm_up):
            work()
        at_once = max(1, min(_MOST_AT_ONCE, int(_WORTH_MEASURING_S / max(self._taken(work, 1), 1e-6))))
        at_once = at_once if self.is_gpu else 1
        times: list[float] = []
        while len(times) < least or (sum(times) * at_once < aim_s and not self.quick and len(times) < 200):
            times.append(self._taken(work, at_once))
        return statistics.median(times)

    def _taken(self, work: Callable[[], object], calls: int) -> float:
        """Seconds of one of so many calls."""
        self.synchronise()
        begun = time.perf_counter()
        for _ in range(calls):
            work()
        self.synchronise()
        return (time.perf_counter() - begun) / calls

    @cached_property
    def copied_per_s(self) -> float:
        """Bytes read and written a second when a large tensor is copied: what the memory really gives."""
        source = torch.empty(2**20 if self.quick else 2**29, dtype=torch.bfloat16, device=self.device)
        target = torch.empty_like(source)
        return 2 * source.nbytes / self.seconds(lambda: target.copy_(source))

    def forget(self) -> None:
        """Give back memory, and begin its peak anew."""
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    @property
    def peak_gib(self) -> float | None:
        """Most memory in tensors since `forget`; None on a CPU, where nobody counts it."""
        return torch.cuda.max_memory_allocated(self.device) / 2**30 if self.is_gpu else None


def require_gpu(bench: Bench) -> None:
    """Raise NotMeasured on a CPU."""
    if not bench.is_gpu:
        raise NotMeasured("no GPU: not measured")
