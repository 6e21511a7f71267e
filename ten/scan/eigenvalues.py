"""Eigenvalues over a stretch of time, kept as narrow as they came (fixed or selective), and their gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from math import tau

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Eigenvalues:
    """λ_t = keep_t exp(log_decay_t + i phase_t) for T steps; this form is closed under products over chunks of time.

    `log_decay` and `phase` are (K,) when fixed, (B, T, K) when selective; `keep` is (B, T, 1), 0 where a document
    starts and 1 elsewhere, or None.
    """

    log_decay: Tensor
    phase: Tensor
    keep: Tensor | None

    @classmethod
    def of(cls, log_decay: Tensor, phase: Tensor, starts: Tensor | None) -> "Eigenvalues":
        """From the arguments of the scan; `starts` is (B, T) bool or None."""
        keep = None if starts is None else starts.logical_not().to(log_decay.dtype).unsqueeze(-1)
        return cls(log_decay, phase, keep)

    def span(self, start: int, stop: int) -> "Eigenvalues":
        """Those of the steps `start` to `stop`."""
        return self._map(lambda x: x if x.dim() == 1 else x[:, start:stop])

    def conj(self) -> "Eigenvalues":
        """The complex conjugates."""
        return Eigenvalues(self.log_decay, -self.phase, self.keep)

    def flip(self) -> "Eigenvalues":
        """The same in reverse order of time."""
        return self._map(lambda x: x if x.dim() == 1 else x.flip(1))

    def steps(self, chunk: int) -> list[Pair]:
        """Real and imaginary part at every position of a chunk, for all N chunks at once: (K,) or (B, N, K) each."""
        decays = _each(torch.exp, self.log_decay, chunk)
        if self.keep is not None:
            decays = [decay * keep for decay, keep in zip(decays, positions(self.keep, chunk), strict=True)]
        elif self.log_decay.dim() == self.phase.dim() == 1:
            decay = decays[0]
            return [(decay * self.phase.cos(), decay * self.phase.sin())] * chunk
        turns = zip(_each(torch.cos, self.phase, chunk), _each(torch.sin, self.phase, chunk), strict=True)
        return [(decay * cos, decay * sin) for decay, (cos, sin) in zip(decays, turns, strict=True)]

    def products(self, chunk: int) -> "Eigenvalues":
        """The product over each of the N chunks, as eigenvalues of N steps."""
        keep = None if self.keep is None else _chunked(self.keep, chunk).amin(2)
        log_decay = self.log_decay * chunk if self.log_decay.dim() == 1 else _chunked(self.log_decay, chunk).sum(2)
        return Eigenvalues(log_decay, self._phase_over(chunk), keep)

    def _phase_over(self, chunk: int) -> Tensor:
        # A rounded angle of hundreds of radians would cost digits: a power of two times a phase is exact, a sum is not.
        if self.phase.dim() == 1:
            return self.phase * chunk
        total = _chunked(self.phase, chunk).sum(2, dtype=torch.float64)
        return total.remainder(tau).to(self.phase.dtype)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Eigenvalues":
        return Eigenvalues(change(self.log_decay), change(self.phase), None if self.keep is None else change(self.keep))


class EigenGradient:
    """Gradient in log|λ| or arg λ: summed over rows and time where that is fixed, one a step where selective."""

    def __init__(self, like: Tensor) -> None:
        self.value = torch.zeros(like.shape, dtype=like.dtype, device=like.device)

    def slabs(self, start: int, stop: int, chunk: int, rows: int) -> list[Tensor]:
        """Where to add at each position of a chunk, (B, N, K) each: one shared slab if fixed."""
        if self.value.dim() > 1:
            return positions(self.value[:, start:stop], chunk)
        return [self.value.new_zeros(rows, (stop - start) // chunk, self.value.shape[0])] * chunk

    def absorb(self, slabs: list[Tensor]) -> None:
        """Take in what was added to `slabs`."""
        if self.value.dim() == 1:
            self.value += slabs[0].sum((0, 1))


def positions(values: Tensor, chunk: int) -> list[Tensor]:
    """(B, T, ...) as `chunk` views (B, N, ...): the same position of all N = T/chunk chunks."""
    return list(_chunked(values, chunk).unbind(2))


def _chunked(values: Tensor, chunk: int) -> Tensor:
    """(B, T, K) as (B, N, C, K); splitting an axis is a view whatever the strides."""
    rows, steps, width = values.shape
    return values.view(rows, steps // chunk, chunk, width)


def _each(function: Callable[[Tensor], Tensor], values: Tensor, chunk: int) -> list[Tensor]:
    if values.dim() == 1:
        return [function(values)] * chunk
    return [function(position) for position in positions(values, chunk)]
