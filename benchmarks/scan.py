"""What a scan costs on one core or one GPU: ns per token and eigenstate, each backend against the FFT and the loop."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ten.scan import scan

DESCRIPTION = """\
Times forward + backward of the scan on one core, or on a CUDA device where there is one, in ns per token and
eigenstate (lower is better). All contenders of a shape take turns within a round, so that a busy machine slows them
alike; 'min' is the best round, 'median' the middle one. 'x FFT' is how many times faster than the FFT convolution
(fixed eigenvalues only) the best round is.

cases   fixed            log_decay (K,), phase (K,)
        selective        log_decay (B, T, K), phase (K,): the default model
        selective+starts the same with a document start every 500 tokens or so
        both selective   log_decay and phase (B, T, K)
loop    the reference backend, only where T is small
fused   the Triton kernels, on a CUDA device

targets of a core at B=1, T=8192, K=256, judged by the best round; exit code 1 if one is missed:
        fixed <= 30 ns, selective <= 60 ns, fixed at least 3 times faster than the FFT
"""
SHAPES = [(4, 256, 64), (4, 2048, 64), (8, 2048, 256), (1, 8192, 64), (1, 8192, 256), (1, 32768, 64)]
TARGET_SHAPE = (1, 8192, 256)
FIXED_NS, SELECTIVE_NS, FFT_RATIO = 30.0, 60.0, 3.0
LOOP_STEPS = 256

Scan = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Contender:
    """One way to compute one case, with its leaves."""

    case: str
    way: str
    run: Scan
    leaves: tuple[Tensor, Tensor, Tensor]

    def seconds(self, d_states: Tensor) -> float:
        """Time of one forward and backward pass: on the wall, or between two events of the device's stream."""
        if d_states.is_cuda:
            return self._device_seconds(d_states)
        begin = time.perf_counter()
        self._pass(d_states)
        return time.perf_counter() - begin

    def _device_seconds(self, d_states: Tensor) -> float:
        begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        begin.record()
        self._pass(d_states)
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    def _pass(self, d_states: Tensor) -> None:
        torch.autograd.grad(self.run(*self.leaves), self.leaves, d_states)


def fft_convolution(inputs: Tensor, log_decay: Tensor, phase: Tensor) -> Tensor:
    """The same states for fixed eigenvalues: a causal convolution with λ^n padded to 2T, time made contiguous."""
    steps = inputs.shape[1]
    n = torch.arange(steps, dtype=torch.float32, device=inputs.device)
    kernel = torch.polar((log_decay[:, None] * n).exp(), phase[:, None] * n)
    pushes = torch.complex(*inputs.transpose(1, 2).contiguous().chunk(2, dim=1))
    spectrum = torch.fft.fft(pushes, n=2 * steps) * torch.fft.fft(kernel, n=2 * steps)
    states = torch.fft.ifft(spectrum)[..., :steps]
    return torch.cat((states.real, states.imag), dim=1).transpose(1, 2)


def backend_scan(backend: str, starts: Tensor | None = None) -> Scan:
    return lambda inputs, log_decay, phase: scan(inputs, log_decay, phase, starts=starts, backend=backend)[0]


def contenders(shape: tuple[int, int, int], device: str) -> list[Contender]:
    """Everything that is timed at one (B, T, K)."""
    rows, steps, width = shape

    def leaf(value: Tensor) -> Tensor:
        return value.to(device).requires_grad_()

    inputs = leaf(torch.randn(rows, steps, 2 * width))
    # Memories of 2 to 2000 tokens, all turning speeds.
    slow = -torch.logspace(-0.3, -3.3, width)
    decay, decays = leaf(slow.clone()), leaf(slow * torch.rand(rows, steps, width))
    phase, phases = leaf(4 * torch.rand(width)), leaf(4 * torch.rand(rows, steps, width))
    starts = (torch.rand(rows, steps) < 1 / 500).to(device)
    found = [Contender("fixed", "FFT", fft_convolution, (inputs, decay, phase))]
    for backend in ["chunked"] if device == "cpu" else ["chunked", "fused"]:
        run = backend_scan(backend)
        found += [
            Contender("fixed", backend, run, (inputs, decay, phase)),
            Contender("selective", backend, run, (inputs, decays, phase)),
            Contender("selective+starts", backend, backend_scan(backend, starts), (inputs, decays, phase)),
            Contender("both selective", backend, run, (inputs, decays, phases)),
        ]
    if steps <= LOOP_STEPS:
        loop = backend_scan("reference")
        found.append(Contender("fixed", "loop", loop, (inputs, decay, phase)))
        found.append(Contender("selective", "loop", loop, (inputs, decays, phase)))
    return found


def measure(shape: tuple[int, int, int], rounds: int, device: str) -> dict[tuple[str, str], list[float]]:
    """ns per token and eigenstate of every round, by (case, way)."""
    entries = contenders(shape, device)
    d_states = torch.randn(shape[0], shape[1], 2 * shape[2], device=device)
    for entry in entries:
        entry.seconds(d_states)
    count = shape[0] * shape[1] * shape[2]
    times: dict[tuple[str, str], list[float]] = {(entry.case, entry.way): [] for entry in entries}
    for _ in range(rounds):
        for entry in entries:
            times[entry.case, entry.way].append(entry.seconds(d_states) / count * 1e9)
    return times


def print_rows(shape: tuple[int, int, int], times: dict[tuple[str, str], list[float]]) -> None:
    fft = min(times["fixed", "FFT"])
    name = ",".join(map(str, shape))
    for (case, way), values in times.items():
        best, middle = min(values), statistics.median(values)
        print(f"{name:>12}  {case:<17} {way:<8} {best:9.2f} {middle:9.2f} {fft / best:8.1f}", flush=True)


def missed_targets(times: dict[tuple[str, str], list[float]]) -> list[str]:
    fixed, selective = min(times["fixed", "chunked"]), min(times["selective", "chunked"])
    ratio = min(times["fixed", "FFT"]) / fixed
    checks = [
        (fixed <= FIXED_NS, f"fixed {fixed:.1f} ns > {FIXED_NS:.0f}"),
        (selective <= SELECTIVE_NS, f"selective {selective:.1f} ns > {SELECTIVE_NS:.0f}"),
        (ratio >= FFT_RATIO, f"{ratio:.1f} x FFT < {FFT_RATIO:.0f}"),
    ]
    return [text for met, text in checks if not met]


def verdict(times: dict[tuple[str, str], list[float]]) -> int:
    """Print what a core is judged by; returns the exit code."""
    missed = missed_targets(times)
    fixed, selective = min(times["fixed", "chunked"]), min(times["selective", "chunked"])
    ratio = min(times["fixed", "FFT"]) / fixed
    words = "targets met" if not missed else "MISSED: " + "; ".join(missed)
    print(f"scan: fixed {fixed:.1f} ns, selective {selective:.1f} ns, {ratio:.1f} x FFT at 1,8192,256; {words}")
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 15, and only the target shape")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="where to run (cuda where there is one)")
    args = parser.parse_args()
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    where = "one core" if device == "cpu" else torch.cuda.get_device_name()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {where}; forward + backward, ns per token and eigenstate")
    print(f"{'B,T,K':>12}  {'case':<17} {'way':<8} {'min':>9} {'median':>9} {'x FFT':>8}")
    for shape in [TARGET_SHAPE] if args.quick else SHAPES:
        times = measure(shape, rounds=3 if args.quick else 15, device=device)
        print_rows(shape, times)
        if shape == TARGET_SHAPE:
            judged = times
    return verdict(judged) if device == "cpu" else 0


if __name__ == "__main__":
    sys.exit(main())
