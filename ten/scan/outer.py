"""The outer-product scan: eigenstates that are vectors, written by keys and read by queries, in parallel over chunks.

S_t = λ_t S_{t-1} + k_t v_tᵀ, y_t = Re(q_tᴴ S_t), for each head, with a complex eigenvalue a key. Within a chunk the
states are never made: in a frame that turns with the eigenvalues' phases λ is real, and y is a matrix of products of
queries and keys, weighed by decays, times the values (gated linear attention, arXiv 2312.06635, §4; Mamba-2, arXiv
2405.21060, §6; phases as rotations of queries and keys as in Mamba-3). From chunk to chunk the states follow the
diagonal scan of this package.
"""

import torch
from torch import Tensor

from ten.scan import scan
from ten.scan.outer_reference import reference_outer_scan

CHUNK = 64


def outer_scan(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    log_decay: Tensor,
    phase: Tensor,
    *,
    carry: Tensor | None = None,
    starts: Tensor | None = None,
    backend: str = "auto",
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """All outputs of S_t = λ_t S_{t-1} + k_t v_tᵀ, y_t = Re(q_tᴴ S_t) in each of H heads, and the last states.

    λ_t = exp(log_decay_t + i·phase), one decay a head and one phase a key. Causal, and the same wherever time is split.
    Products of matrices run in the type of `values`; decays, phases and states in fp32 (fp64 for fp64 values), inside
    and outside of autocast. First derivatives only (any with backend "reference").

    Args:
        queries, keys: (B, T, 2K), K real parts, then K imaginary parts, K = H·N with the N of a head side by side.
        values: (B, T, H, P) in fp32, fp64 or bf16; queries and keys have its type. T may be 0.
        log_decay: log|λ| <= 0, (H,) fixed or (B, T, H) selective; fp32 (fp64 with fp64 values).
        phase: arg λ in radians, (H, N); dtype as `log_decay`.
        carry: (B, 2K, P) states before the first step, dtype as `log_decay`; None is zeros.
        starts: (B, T) bool, true where a document starts: no state crosses into it.
        backend: "reference" for the loop over time, else the backend of the scan from chunk to chunk.
        chunk: time steps in a chunk.

    Returns:
        outputs (B, T, H, P) in the dtype of `values`, and the final carry (B, 2K, P) in that of `log_decay`.

    Raises:
        ValueError: an argument has the wrong shape or dtype, or the backend is unknown.
    """
    _check(queries, keys, values, log_decay, phase, starts)
    rows, steps, heads, width = values.shape
    if carry is None:
        carry = log_decay.new_zeros(rows, queries.shape[-1], width)
    elif carry.shape != (rows, queries.shape[-1], width) or carry.dtype != log_decay.dtype:
        raise ValueError(f"carry is {tuple(carry.shape)} {carry.dtype} beside values {tuple(values.shape)}")
    with torch.autocast(values.device.type, enabled=False):
        if backend == "reference" or not steps:
            return reference_outer_scan(queries, keys, values, log_decay, phase, carry, starts)
        log_decay = log_decay.expand(rows, steps, heads)
        whole = steps - steps % chunk
        parts = []
        for begin, end, size in ((0, whole, chunk), (whole, steps, steps - whole)):
            if begin == end:
                continue
            part = [x[:, begin:end] for x in (queries, keys, values, log_decay)]
            opened = None if starts is None else starts[:, begin:end]
            outputs, carry = _chunked(*part, phase=phase, carry=carry, starts=opened, chunk=size, backend=backend)
            parts.append(outputs)
        return torch.cat(parts, dim=1), carry


def _chunked(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    log_decay: Tensor,
    *,
    phase: Tensor,
    carry: Tensor,
    starts: Tensor | None,
    chunk: int,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """`outer_scan` over whole chunks of C steps; within: B rows, M chunks, H heads, N keys, P values."""
    kind, heads = values.dtype, values.shape[2]
    halves = (2, heads, phase.shape[1])
    read, write = (_by_chunk(x.view(*x.shape[:2], *halves), chunk) for x in (queries, keys))
    push = _by_chunk(values, chunk).transpose(2, 3)
    kept = _by_chunk(log_decay, chunk).transpose(2, 3)
    if starts is not None:  # nothing is kept across a start: sums of logarithms that pass one are -inf
        opened = _by_chunk(starts, chunk)
        kept = kept.masked_fill(opened.unsqueeze(2), -torch.inf)
    between = _sums_between(kept)
    time = torch.arange(1, chunk + 1, device=phase.device, dtype=phase.dtype)
    angle = time[:, None, None] * phase
    queries_here = _turned(read, -angle).to(kind)
    scores = queries_here @ _turned(write, -angle).to(kind).transpose(-1, -2)
    within = (scores * between.exp().to(kind)) @ push

    last = _turned(write, phase * chunk - angle) * between[..., -1, :, None].exp()
    written = last.to(kind).transpose(-1, -2) @ push
    over = _by_chunk(log_decay, chunk).sum(2)
    reset = None if starts is None else opened.any(2)
    entering, carry = _across(written, over, phase * chunk, carry, reset, backend)
    from_before = (queries_here * kept.cumsum(-1).exp().unsqueeze(-1).to(kind)) @ entering.to(kind)
    return (within + from_before).transpose(2, 3).flatten(1, 2), carry


def _across(
    written: Tensor, over: Tensor, turned: Tensor, carry: Tensor, reset: Tensor | None, backend: str
) -> tuple[Tensor, Tensor]:
    """The states that enter each chunk, (B, M, H, 2N, P), and those after the last, (B, 2K, P).

    written (B, M, H, 2N, P) is what each chunk adds, `over` (B, M, H) its log-decay and `turned` (H, N) its phase.
    """
    rows, chunks, heads, double, width = written.shape
    split = (2, heads, double // 2, width)
    pushes = written.view(rows, chunks, heads, 2, -1, width).transpose(2, 3).reshape(rows, chunks, -1)
    states, final = scan(
        pushes,
        over[..., None, None].expand(rows, chunks, *split[1:]).reshape(rows, chunks, -1),
        turned.unsqueeze(-1).expand(split[1:]).reshape(-1),
        carry=carry.flatten(1),
        starts=reset,
        backend=backend,
    )
    before = torch.cat([carry.flatten(1).unsqueeze(1).to(states.dtype), states[:, :-1]], dim=1)
    entering = before.view(rows, chunks, *split).transpose(2, 3).reshape(rows, chunks, heads, double, width)
    return entering, final.view(carry.shape)


def _by_chunk(x: Tensor, chunk: int) -> Tensor:
    """(B, T, ...) as (B, M, C, ...)."""
    return x.view(len(x), -1, chunk, *x.shape[2:])


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """x (B, M, C, 2, H, N) turned by angles (C, H, N), as (B, M, H, C, 2N) in the angles' type."""
    real, imaginary = x.to(angle.dtype).unbind(3)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.cat([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=-1)
    return turned.transpose(2, 3)


def _sums_between(kept: Tensor) -> Tensor:
    """kept (..., C) → (..., C, C): at [t, s] the sum over s + 1 .. t, and -inf above the diagonal.

    Sums, and no differences of sums: none is above 0, and -inf stays what it is.
    """
    steps = kept.shape[-1]
    lower = torch.ones(steps, steps, dtype=torch.bool, device=kept.device).tril(-1)
    spread = kept.unsqueeze(-1).expand(*kept.shape, steps).masked_fill(~lower, 0.0)
    return spread.cumsum(-2).masked_fill(~(lower | lower.new_ones(steps).diag()), -torch.inf)


def _check(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, phase: Tensor, starts: Tensor | None
) -> None:
    rows, steps, heads, _ = values.shape
    state = torch.float64 if values.dtype == torch.float64 else torch.float32
    wanted: dict[str, tuple[Tensor, list[tuple[int, ...]], torch.dtype]] = {
        "queries": (queries, [(rows, steps, 2 * phase.numel())], values.dtype),
        "keys": (keys, [(rows, steps, 2 * phase.numel())], values.dtype),
        "log_decay": (log_decay, [(heads,), (rows, steps, heads)], state),
        "phase": (phase, [(heads, phase.shape[-1])], state),
    }
    if starts is not None:
        wanted["starts"] = (starts, [(rows, steps)], torch.bool)
    for name, (tensor, shapes, dtype) in wanted.items():
        if tuple(tensor.shape) not in shapes or tensor.dtype != dtype:
            expected = " or ".join(map(str, shapes))
            raise ValueError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}; expected {expected} {dtype}")
