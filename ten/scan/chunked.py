"""The chunked backend: a two-pass scan in plain PyTorch, parallel over chunks of time, with its own backward pass.

Pass one runs every chunk of C steps from a zero state, all N chunks side by side, and keeps only their last states.
The true states at the chunk edges follow from these by the same recurrence over N steps, so the scan calls itself.
Pass two runs every chunk again, from its true entering state. No product of eigenvalues is ever divided by, so any
decay is safe. The backward pass is the same scan in reverse time with conjugate eigenvalues (the parallel form of a
linear recurrence is that of Martin and Cundy, "Parallelizing Linear Recurrent Neural Nets Over Sequence Length", 2018).

Complex numbers are pairs of real slabs (B, N, K), one position of all chunks at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ten.scan.eigenvalues import EigenGradient, Eigenvalues, Pair, positions

CHUNK = 32
# Numbers in one slab: enough to hide the cost of a call, few enough for the caches; a GPU pays far more for a call.
SLAB = 1 << 16
SLAB_ON_DEVICE = 1 << 22


def chunked_forward(
    inputs: Tensor, log_decay: Tensor, phase: Tensor, carry: Tensor, starts: Tensor | None, chunk: int | None = None
) -> Pair:
    """States (B, T, 2K) and final carry (B, 2K) as `ten.scan.scan` defines them; any T for any `chunk` of 2 or more."""
    return _forward(inputs, Eigenvalues.of(log_decay, phase, starts), carry, chunk or CHUNK)


def chunked_backward(
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
    task = _Backward(
        d_states=d_states,
        eigen=Eigenvalues.of(log_decay, phase, starts).conj(),
        states=states,
        carry=carry,
        d_inputs=torch.empty_like(states),
        d_log_decay=EigenGradient(log_decay),
        d_phase=EigenGradient(phase),
    )
    d_carry = d_final.clone(memory_format=torch.contiguous_format)
    for span in reversed(list(_spans(states, chunk or CHUNK))):
        d_carry = task.run(span, d_carry)
    return task.d_inputs, task.d_log_decay.value, task.d_phase.value, d_carry


class _Span(NamedTuple):
    """A stretch of time worked on at once: (stop - start) / chunk whole chunks."""

    start: int
    stop: int
    chunk: int

    @property
    def single(self) -> bool:
        return self.stop - self.start == self.chunk

    def pairs(self, values: Tensor) -> list[Pair]:
        """(B, T, 2K) as one (real, imaginary) pair of (B, N, K) views for each position of a chunk."""
        real, imag = values[:, self.start : self.stop].chunk(2, dim=-1)
        return list(zip(positions(real, self.chunk), positions(imag, self.chunk), strict=True))


def _spans(values: Tensor, chunk: int) -> Iterator[_Span]:
    """Cut (B, T, 2K) into spans of whole chunks that fit the caches, and one shorter chunk for what is left.

    Up to two chunks run as one: pass one would cost more than it saves.
    """
    rows, steps, width = values.shape
    whole = steps - steps % chunk if steps > 2 * chunk else 0
    limit = SLAB if values.is_cpu else SLAB_ON_DEVICE
    stride = chunk * max(1, 2 * limit // max(1, rows * width))
    for start in range(0, whole, stride):
        yield _Span(start, min(start + stride, whole), chunk)
    if whole < steps:
        yield _Span(whole, steps, steps - whole)


def _forward(inputs: Tensor, eigen: Eigenvalues, carry: Tensor, chunk: int) -> Pair:
    states = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device)
    final = carry.clone(memory_format=torch.contiguous_format)
    for span in _spans(inputs, chunk):
        final = _forward_span(span, inputs, eigen.span(span.start, span.stop), final, states)
    return states, final


def _forward_span(span: _Span, inputs: Tensor, eigen: Eigenvalues, carry: Tensor, states: Tensor) -> Tensor:
    """Fill the span of `states`; returns the state after it, (B, 2K)."""
    pushes, lams = span.pairs(inputs), eigen.steps(span.chunk)
    entering = carry.unsqueeze(1)
    if not span.single:
        ends, _ = _forward(_ends(pushes, lams[1:], carry.dtype), eigen.products(span.chunk), carry, span.chunk)
        entering = torch.cat((entering, ends[:, :-1]), dim=1)
    state = _halves(entering)
    for push, lam, out in zip(pushes, lams, span.pairs(states), strict=True):
        state = _step(lam, state, push)
        _store(out, state)
    return torch.cat([half[:, -1] for half in state], dim=-1)


def _ends(pushes: list[Pair], lams: list[Pair], dtype: torch.dtype) -> Tensor:
    """The last state of every chunk run from zero, (B, N, 2K); the C - 1 `lams` are those between the `pushes`."""
    state = (pushes[0][0].to(dtype), pushes[0][1].to(dtype))
    for push, lam in zip(pushes[1:], lams, strict=True):
        state = _step(lam, state, push)
    return torch.cat(state, dim=-1)


@dataclass(frozen=True, kw_only=True)
class _Backward:
    """What the backward pass reads and fills: g_t = dh_t + u_{t+1}, u_t = conj(λ_t) g_t, from the last span back.

    With h_{t-1} the state before the step, d log|λ_t| = Re(u_t conj(h_{t-1})) and d arg λ_t = Im(u_t conj(h_{t-1})).
    """

    d_states: Tensor
    eigen: Eigenvalues  # conjugate
    states: Tensor
    carry: Tensor
    d_inputs: Tensor
    d_log_decay: EigenGradient
    d_phase: EigenGradient

    def run(self, span: _Span, d_final: Tensor) -> Tensor:
        """Fill the gradients of one span from that of the state after it; returns that of the state before it."""
        pushes, outs, memories = span.pairs(self.d_states), span.pairs(self.d_inputs), self._memories(span)
        eigen = self.eigen.span(span.start, span.stop)
        lams = eigen.steps(span.chunk)
        where = span.start, span.stop, span.chunk, self.states.shape[0]
        d_log_decay, d_phase = self.d_log_decay.slabs(*where), self.d_phase.slabs(*where)
        turned = _halves(self._arrivals(span, pushes, lams, eigen, d_final))
        for t in reversed(range(span.chunk)):
            grad = (pushes[t][0] + turned[0], pushes[t][1] + turned[1])
            _store(outs[t], grad)
            turned = _times(lams[t], grad)
            _add_products(d_log_decay[t], d_phase[t], turned, memories[t])
        self.d_log_decay.absorb(d_log_decay)
        self.d_phase.absorb(d_phase)
        return torch.cat([half[:, 0] for half in turned], dim=-1)

    def _arrivals(
        self, span: _Span, pushes: list[Pair], lams: list[Pair], eigen: Eigenvalues, d_final: Tensor
    ) -> Tensor:
        """u after the last step of every chunk, (B, N, 2K): pass one and the recurrence over chunks, right to left."""
        entering = d_final.unsqueeze(1)
        if span.single:
            return entering
        ends = _ends(pushes[::-1], lams[:0:-1], d_final.dtype)
        first = torch.cat(_times(lams[0], _halves(ends)), dim=-1)
        left, _ = _forward(first.flip(1), eigen.products(span.chunk).flip(), d_final, span.chunk)
        return torch.cat((entering, left[:, :-1]), dim=1).flip(1)

    def _memories(self, span: _Span) -> list[Pair]:
        """The state before each position, as pairs of (B, N, K)."""
        before = self.carry if span.start == 0 else self.states[:, span.start - 1]
        edges = self.states[:, span.start + span.chunk - 1 : span.stop - 1 : span.chunk]
        entering = torch.cat((before.unsqueeze(1), edges), dim=1)
        return [_halves(entering), *span.pairs(self.states)[:-1]]


def _halves(values: Tensor) -> Pair:
    real, imag = values.chunk(2, dim=-1)
    return real, imag


def _step(lam: Pair, state: Pair, push: Pair) -> Pair:
    """λ·state + push, in the dtype of the state."""
    dtype = state[0].dtype
    real = torch.addcmul(push[0].to(dtype), lam[0], state[0]).addcmul_(lam[1], state[1], value=-1)
    imag = torch.addcmul(push[1].to(dtype), lam[0], state[1]).addcmul_(lam[1], state[0])
    return real, imag


def _times(lam: Pair, state: Pair) -> Pair:
    real = (lam[0] * state[0]).addcmul_(lam[1], state[1], value=-1)
    imag = (lam[0] * state[1]).addcmul_(lam[1], state[0])
    return real, imag


def _store(out: Pair, state: Pair) -> None:
    out[0].copy_(state[0])
    out[1].copy_(state[1])


def _add_products(real: Tensor, imag: Tensor, left: Pair, right: Pair) -> None:
    """Add left·conj(right) to `real` and `imag`."""
    right = (right[0].to(real.dtype), right[1].to(real.dtype))
    real.addcmul_(left[0], right[0]).addcmul_(left[1], right[1])
    imag.addcmul_(left[1], right[0]).addcmul_(left[0], right[1], value=-1)
