"""Eigenvalues: products over chunks, conjugates, order of time and gradient sums."""

import itertools

import pytest
import torch
from torch import Tensor

from ten.scan.eigenvalues import EigenGradient, Eigenvalues, positions


def make(decay: str, phase: str, starts: Tensor | None = None) -> Eigenvalues:
    g = torch.Generator().manual_seed(0)

    def eigen(kind: str) -> Tensor:
        return torch.randn((3,) if kind == "fixed" else (2, 12, 3), generator=g, dtype=torch.float64)

    return Eigenvalues.of(-eigen(decay).abs(), 3 * eigen(phase), starts)


def values(eigen: Eigenvalues, steps: int) -> Tensor:
    """λ as complex numbers, (2, T, 3)."""
    chunks = [torch.complex(real, imag).expand(2, 1, 3) for real, imag in eigen.steps(steps)]
    return torch.cat(chunks, 1)


KINDS = pytest.mark.parametrize(("decay", "phase"), list(itertools.product(["fixed", "selective"], repeat=2)))


@KINDS
def test_the_product_over_a_chunk_is_that_of_its_eigenvalues(decay: str, phase: str) -> None:
    starts = torch.zeros(2, 12, dtype=torch.bool)
    starts[0, 5] = True
    eigen = make(decay, phase, starts)
    wanted = values(eigen, 12).unflatten(1, (3, 4)).prod(2)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(values(eigen.products(4), 3), wanted)
    assert not wanted[0, 1].any()


@KINDS
def test_conj_and_flip_do_what_they_say(decay: str, phase: str) -> None:
    eigen = make(decay, phase)
    torch.testing.assert_close(values(eigen.conj(), 12), values(eigen, 12).conj())
    torch.testing.assert_close(values(eigen.flip(), 12), values(eigen, 12).flip(1))


def test_a_product_of_many_phases_keeps_its_digits() -> None:
    phase = torch.full((1, 1024, 1), 3.1)
    eigen = Eigenvalues.of(torch.zeros(1), phase, None).products(1024)
    wanted = torch.polar(torch.ones(1, dtype=torch.float64), phase.double().sum(1)[0])
    real, imag = eigen.steps(1)[0]
    got = torch.complex(real.double(), imag.double()).flatten()
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6)


def test_span_and_positions_are_views() -> None:
    eigen = make("selective", "fixed")
    part = eigen.span(4, 12)
    assert part.phase is eigen.phase
    assert torch.equal(part.log_decay, eigen.log_decay[:, 4:12])
    third = positions(part.log_decay, 4)[2]
    assert third.data_ptr() == eigen.log_decay[:, 6].data_ptr()
    assert torch.equal(third, eigen.log_decay[:, [6, 10]])


def test_a_fixed_gradient_is_summed_and_a_selective_one_stored() -> None:
    fixed, selective = EigenGradient(torch.zeros(3)), EigenGradient(torch.zeros(2, 8, 3))
    for gradient in (fixed, selective):
        slabs = gradient.slabs(0, 8, 4, 2)
        for slab in slabs:
            slab.add_(1.0)
        gradient.absorb(slabs)
    assert torch.equal(fixed.value, torch.full((3,), 16.0))
    assert torch.equal(selective.value, torch.ones(2, 8, 3))
