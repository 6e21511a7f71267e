"""The public scan along time: causal, the same wherever it is split, and cut where a document starts."""

import itertools
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ten.scan import scan

ALL = pytest.mark.parametrize("backend", ["reference", "chunked"])


@dataclass(frozen=True)
class Case:
    """Arguments of one scan in fp64."""

    inputs: Tensor
    log_decay: Tensor
    phase: Tensor
    carry: Tensor
    starts: Tensor | None

    def leaves(self) -> list[Tensor]:
        return [self.inputs, self.log_decay, self.phase, self.carry]

    def span(self, start: int, stop: int, carry: Tensor) -> "Case":
        """The steps from `start` to `stop`, entered with `carry`."""

        def cut(value: Tensor) -> Tensor:
            return value if value.dim() == 1 else value[:, start:stop]

        starts = None if self.starts is None else cut(self.starts)
        return Case(cut(self.inputs), cut(self.log_decay), cut(self.phase), carry, starts)

    def run(self, backend: str) -> tuple[Tensor, Tensor]:
        return scan(self.inputs, self.log_decay, self.phase, carry=self.carry, starts=self.starts, backend=backend)


def make_case(
    shape: tuple[int, int, int], *, decay: str = "selective", phase: str = "fixed", starts: bool = False, seed: int = 0
) -> Case:
    rows, steps, width = shape
    g = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=g, dtype=torch.float64)

    def eigen(kind: str) -> Tensor:
        return normal(width) if kind == "fixed" else normal(rows, steps, width)

    return Case(
        inputs=normal(rows, steps, 2 * width).requires_grad_(),
        log_decay=(-0.3 * eigen(decay).abs()).requires_grad_(),
        phase=(2 * eigen(phase)).requires_grad_(),
        carry=normal(rows, 2 * width).requires_grad_(),
        starts=torch.rand((rows, steps), generator=g) < 0.15 if starts else None,
    )


def gradients(case: Case, states: Tensor, final: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(states.square().sum() + final.square().sum(), case.leaves())


def assert_close(name: str, got: Tensor, wanted: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance, msg=lambda text: f"{name}: {text}")


@ALL
@pytest.mark.parametrize("step", [0, 31, 32, 50, 69])
def test_no_state_depends_on_a_later_step(backend: str, step: int) -> None:
    case = make_case((2, 70, 3))
    inputs, log_decay = case.inputs.detach().clone(), case.log_decay.detach().clone()
    inputs[:, step] += 100.0
    log_decay[:, step] -= 1.0
    before, _ = case.run(backend)
    after, _ = replace(case, inputs=inputs, log_decay=log_decay).run(backend)
    assert torch.equal(before[:, :step], after[:, :step])
    assert not torch.equal(before[:, step], after[:, step])


@ALL
def test_two_halves_with_the_carry_equal_the_whole_at_every_split(backend: str) -> None:
    case = make_case((2, 67, 3), starts=True)
    whole, final = case.run(backend)
    for split in range(68):
        left, carry = case.span(0, split, case.carry).run(backend)
        right, last = case.span(split, 67, carry).run(backend)
        assert_close(f"states split at {split}", torch.cat((left, right), 1), whole)
        assert_close(f"final split at {split}", last, final)


@ALL
@pytest.mark.parametrize("split", [1, 32, 40])
def test_gradients_of_two_halves_equal_those_of_the_whole(backend: str, split: int) -> None:
    case, cut = make_case((2, 67, 3)), make_case((2, 67, 3))
    wanted = gradients(case, *case.run(backend))
    left, carry = cut.span(0, split, cut.carry).run(backend)
    right, final = cut.span(split, 67, carry).run(backend)
    got = gradients(cut, torch.cat((left, right), 1), final)
    for name, one, other in zip(("inputs", "log_decay", "phase", "carry"), got, wanted, strict=True):
        assert_close(f"d {name}", one, other)


@ALL
@pytest.mark.parametrize("decay", ["fixed", "selective"])
def test_a_start_gives_each_document_a_scan_of_its_own(backend: str, decay: str) -> None:
    bounds = [0, 5, 32, 33, 70]
    starts = torch.zeros(1, 70, dtype=torch.bool)
    starts[:, bounds[:-1]] = True
    case = replace(make_case((1, 70, 3), decay=decay), starts=starts)
    packed, final = case.run(backend)
    lone = replace(case, starts=None)
    alone = [lone.span(a, b, torch.zeros_like(case.carry)).run(backend) for a, b in itertools.pairwise(bounds)]
    assert_close("states", packed, torch.cat([states for states, _ in alone], 1))
    assert_close("final", final, alone[-1][1])


@ALL
def test_nothing_flows_back_across_a_start(backend: str) -> None:
    starts = torch.zeros(2, 50, dtype=torch.bool)
    starts[:, 40] = True
    case = replace(make_case((2, 50, 3)), starts=starts)
    states, _ = case.run(backend)
    d_inputs, d_log_decay, d_carry = torch.autograd.grad(
        states[:, 40:].sum(), (case.inputs, case.log_decay, case.carry)
    )
    assert not d_inputs[:, :40].any()
    assert not d_log_decay[:, :41].any()
    assert not d_carry.any()


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 100), st.integers(1, 4)),
    decay=st.sampled_from(["fixed", "selective"]),
    phase=st.sampled_from(["fixed", "selective"]),
    starts=st.booleans(),
    where=st.floats(0, 1),
    seed=st.integers(0, 2**16),
)
def test_any_shape_and_split_agree_with_the_definition(
    shape: tuple[int, int, int], decay: str, phase: str, starts: bool, where: float, seed: int
) -> None:
    case = make_case(shape, decay=decay, phase=phase, starts=starts, seed=seed)
    split = round(where * shape[1])
    wanted, final_wanted = case.run("reference")
    left, carry = case.span(0, split, case.carry).run("chunked")
    right, final = case.span(split, shape[1], carry).run("chunked")
    assert_close("states", torch.cat((left, right), 1), wanted)
    assert_close("final", final, final_wanted)
