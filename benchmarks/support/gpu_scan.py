"""gpu.py's sections on the scan: that every backend is right on this device, and how near it comes to a copy."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.support.gpu_bench import Bench
from benchmarks.support.gpu_report import Cell, NotMeasured
from ten.scan import BACKENDS, scan

CORRECT_COLUMNS = ("backend", "dtype", "eigenvalues", "B,T,K", "states", "gradients", "allowed", "")
SPEED_COLUMNS = ("eigenvalues", "B", "T", "K", "ms", "GB/s", "of a copy", "least", "target")
ALLOWED = {torch.float32: 2e-4, torch.bfloat16: 4e-2}
SHAPES = [(2, 1, 3), (3, 257, 5), (1, 1000, 40)]
TARGET, TARGET_FROM = 0.70, 8192
EIGENSTATES, TOKENS = 512, 131072
NAMES = ("inputs", "log_decay", "phase", "carry")


def correctness(bench: Bench) -> Iterator[tuple[Cell, ...]]:
    """Worst relative errors against the reference in fp64: states and carry, and all gradients."""
    wrong = []
    for backend in BACKENDS:
        if backend == "reference" or (backend == "fused" and not bench.is_gpu):
            continue
        for dtype, allowed in ALLOWED.items():
            for selective in (False, True):
                for shape in SHAPES[:2] if bench.quick else SHAPES:
                    states, gradients = errors(backend, dtype, selective, shape, bench.device)
                    right = max(states, gradients) <= allowed
                    kind = "selective" if selective else "fixed"
                    where = (backend, str(dtype).removeprefix("torch."), kind, ",".join(map(str, shape)))
                    yield (*where, states, gradients, allowed, "ok" if right else "WRONG")
                    wrong += [] if right else [" ".join(where)]
    if wrong:
        raise AssertionError(f"wrong results: {'; '.join(wrong)}")


def errors(
    backend: str, dtype: torch.dtype, selective: bool, shape: tuple[int, int, int], device: torch.device
) -> tuple[float, float]:
    """Of a backend at one shape, with a carry and document starts."""
    rows, steps, width = shape
    generator = torch.Generator().manual_seed(steps)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, dtype=torch.float64, generator=generator)

    inputs = normal(rows, steps, 2 * width).to(dtype)
    decay = -normal(*((rows, steps) if selective else ()), width).abs().float() / 8
    phase, carry = 3 * normal(width).float(), normal(rows, 2 * width).float()
    starts = torch.rand(rows, steps, generator=generator) < 0.05
    weights = normal(rows, steps, 2 * width), normal(rows, 2 * width)
    given = (inputs, decay, phase, carry)
    exact = _run("reference", tuple(part.double() for part in given), starts, weights)
    moved = tuple(part.to(device) for part in given)
    found = _run(backend, moved, starts.to(device), tuple(part.to(device) for part in weights))
    far = [_distance(one, two) for one, two in zip(found, exact, strict=True)]
    return max(far[:2]), max(far[2:])


def _run(backend: str, given: tuple[Tensor, ...], starts: Tensor, weights: tuple[Tensor, ...]) -> list[Tensor]:
    """States, carry, and the gradients of a weighted sum of both, in fp64 on the CPU."""
    inputs, decay, phase, carry = (part.clone().requires_grad_() for part in given)
    states, last = scan(inputs, decay, phase, carry=carry, starts=starts, backend=backend)
    total = (states.double() * weights[0]).sum() + (last.double() * weights[1]).sum()
    gradients = torch.autograd.grad(total, (inputs, decay, phase, carry))
    return [part.detach().double().cpu() for part in (states, last, *gradients)]


def _distance(found: Tensor, exact: Tensor) -> float:
    if not found.isfinite().all():
        return float("inf")
    return float((found - exact).abs().max() / exact.abs().max().clamp_min(1e-6))


def speed(bench: Bench) -> Iterator[tuple[Cell, ...]]:
    """Forward and backward pass in bf16, backend auto: the bytes that its kernels ask for, over time.

    `least` is the same of the bytes that any scan must move. The kernels read inputs and eigenvalues twice, and only
    what a card's cache keeps of them is free.
    """
    tokens, width = (1024, 16) if bench.quick else (TOKENS, EIGENSTATES)
    lengths = (128, 1024) if bench.quick else (512, 2048, 8192, 32768, 131072)
    for selective in (False, True):
        for steps in lengths:
            if bench.left_s < 3:
                raise NotMeasured(f"out of time before T={steps}")
            rows = tokens // steps
            taken = bench.seconds(_pass(bench, rows, steps, width, selective))
            rate = tokens * moved_bytes(width, selective) / taken
            share, least = (
                tokens * size(width, selective) / taken / bench.copied_per_s for size in (moved_bytes, least_bytes)
            )
            judged = bench.is_gpu and steps >= TARGET_FROM
            met = ("met" if share >= TARGET else "MISSED") if judged else None
            kind = "selective" if selective else "fixed"
            yield (kind, rows, steps, width, taken * 1e3, rate / 1e9, share, least, met)
            bench.forget()


def least_bytes(width: int, selective: bool) -> int:
    """Bytes that a token's forward and backward pass must move: 2K inputs, states and three gradients in bf16.

    Forward: inputs in, states out; backward: the gradient of the states and the states in, that of the inputs out. A
    selective decay (K, fp32) is read in both, and its gradient written.
    """
    return 5 * 2 * width * 2 + (3 * width * 4 if selective else 0)


def moved_bytes(width: int, selective: bool) -> int:
    """Bytes that the three kernels of each pass ask for, for a token: `least_bytes`, and a second reading of the
    inputs, of the gradient of the states, and of a selective decay in both passes."""
    return least_bytes(width, selective) + 2 * 2 * width * 2 + (2 * width * 4 if selective else 0)


def _pass(bench: Bench, rows: int, steps: int, width: int, selective: bool) -> "_Pass":
    return _Pass(bench.device, rows, steps, width, selective)


class _Pass:
    """One forward and backward pass; memories of 2 to 2000 tokens, all turning speeds."""

    def __init__(self, device: torch.device, rows: int, steps: int, width: int, selective: bool) -> None:
        slow = -torch.logspace(-0.3, -3.3, width, device=device)
        decay = slow * torch.rand(rows, steps, width, device=device) if selective else slow
        inputs = torch.randn(rows, steps, 2 * width, device=device, dtype=torch.bfloat16)
        phase = 4 * torch.rand(width, device=device)
        self.leaves = inputs.requires_grad_(), decay.requires_grad_(), phase.requires_grad_()
        self.d_states = torch.randn(rows, steps, 2 * width, device=device, dtype=torch.bfloat16)

    def __call__(self) -> None:
        states, _ = scan(*self.leaves)
        torch.autograd.grad(states, self.leaves, self.d_states)
