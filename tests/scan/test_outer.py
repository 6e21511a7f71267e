"""The outer-product scan: equal to its loop over time in outputs, carries and gradients; causal; split anywhere."""

import itertools
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from ten.scan.outer import outer_scan

B, T, H, N, P = 2, 23, 3, 4, 5


class Problem(NamedTuple):
    queries: Tensor
    keys: Tensor
    values: Tensor
    log_decay: Tensor
    phase: Tensor
    carry: Tensor
    starts: Tensor

    def named(self) -> dict[str, Tensor]:
        """The tensors that take a gradient, by name."""
        return {name: value for name, value in self._asdict().items() if name != "starts"}


def problem(*, fixed: bool = False, steps: int = T, dtype: torch.dtype = torch.float64) -> Problem:
    generator = torch.Generator().manual_seed(4)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    queries, keys, values = drawn(B, steps, 2 * H * N), drawn(B, steps, 2 * H * N), drawn(B, steps, H, P)
    raw = drawn(H) if fixed else drawn(B, steps, H)
    log_decay = (-0.3 * raw.detach().exp()).requires_grad_()
    starts = torch.rand(B, steps, generator=generator) < 0.15
    return Problem(queries, keys, values, log_decay, drawn(H, N), drawn(B, 2 * H * N, P), starts)


def run(given: Problem, **changes: Any) -> tuple[Tensor, Tensor]:
    arguments = {**given._asdict(), **changes}
    first = [arguments.pop(name) for name in ("queries", "keys", "values", "log_decay", "phase")]
    return outer_scan(*first, **arguments)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("chunk", [1, 4, 7, T, 64])
def test_outputs_carry_and_gradients_are_those_of_the_loop_over_time(fixed: bool, reset: bool, chunk: int) -> None:
    given = problem(fixed=fixed)
    starts = given.starts if reset else None
    found = run(given, starts=starts, chunk=chunk)
    wanted = run(given, starts=starts, backend="reference")
    torch.testing.assert_close(found, wanted)
    ways = [torch.randn_like(part) for part in wanted]
    inputs = given.named()
    gradients = [
        torch.autograd.grad(parts, list(inputs.values()), ways, retain_graph=True) for parts in (found, wanted)
    ]
    for name, mine, theirs in zip(inputs, *gradients, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-7, atol=1e-7), name


def test_the_loop_over_time_is_the_recurrence_written_out() -> None:
    given = problem(steps=3)
    outputs, carry = run(given, starts=None, backend="reference")
    turn = torch.polar(torch.ones_like(given.phase), given.phase)
    cut = (2, H, N)
    for row, head in itertools.product(range(B), range(H)):
        real, imaginary = given.carry[row].view(*cut, P)[:, head]
        state = torch.complex(real, imaginary)
        for t in range(3):
            query, key = (torch.complex(*x[row, t].view(cut)[:, head]) for x in (given.queries, given.keys))
            decay = given.log_decay[row, t, head].exp()
            state = decay * turn[head].unsqueeze(1) * state + torch.outer(key, given.values[row, t, head] + 0j)
            torch.testing.assert_close(outputs[row, t, head], (query.conj() @ state).real)
        torch.testing.assert_close(carry[row].view(*cut, P)[0, head], state.real)
        torch.testing.assert_close(carry[row].view(*cut, P)[1, head], state.imag)


@pytest.mark.parametrize("cuts", [[1], [9], [2, 3, 17], list(range(1, T)), [0, T]])
def test_any_split_gives_the_whole(cuts: list[int]) -> None:
    given = problem()
    whole, final = run(given, chunk=4)
    parts, carry = [], given.carry
    for begin, end in itertools.pairwise([0, *cuts, T]):
        cut = given._replace(
            **{
                name: getattr(given, name)[:, begin:end]
                for name in ("queries", "keys", "values", "log_decay", "starts")
            },
            carry=carry,
        )
        outputs, carry = run(cut, chunk=4)
        parts.append(outputs)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    torch.testing.assert_close(carry, final)


@pytest.mark.parametrize("name", ["queries", "keys", "values", "log_decay"])
def test_nothing_reaches_back_in_time(name: str) -> None:
    given = problem()
    before, _ = run(given, chunk=4)
    changed = getattr(given, name).detach().clone()
    changed[:, 13] -= 0.5
    after, _ = run(given._replace(**{name: changed}), chunk=4)
    assert torch.equal(after[:, :13], before[:, :13])
    assert not torch.equal(after[:, 13:], before[:, 13:])


def test_documents_packed_are_documents_alone() -> None:
    given = problem()
    starts = torch.zeros(B, T, dtype=torch.bool)
    starts[:, [6, 7, 18]] = True
    packed, _ = run(given, starts=starts, carry=None, chunk=5)
    alone = []
    for begin, end in itertools.pairwise([0, 6, 7, 18, T]):
        cut = {name: getattr(given, name)[:, begin:end] for name in ("queries", "keys", "values", "log_decay")}
        alone.append(run(given._replace(**cut), starts=None, carry=None, chunk=5)[0])
    torch.testing.assert_close(packed, torch.cat(alone, dim=1))


@pytest.mark.parametrize("decay", [0.0, -1e-9, -50.0, -1e4, -torch.inf])
def test_values_and_gradients_are_finite_at_every_decay(decay: float) -> None:
    given = problem(dtype=torch.float32, steps=150)
    log_decay = torch.full_like(given.log_decay, decay).requires_grad_()
    outputs, carry = run(given, log_decay=log_decay)
    wanted, _ = run(given, log_decay=log_decay, backend="reference")
    torch.testing.assert_close(outputs, wanted, rtol=1e-4, atol=1e-4)
    gradients = torch.autograd.grad(
        outputs.square().sum() + carry.sum(), [given.keys, given.values, log_decay, given.phase]
    )
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_bf16_is_near_fp32_and_keeps_states_in_fp32() -> None:
    given = problem(dtype=torch.float32, steps=90)
    precise, _ = run(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow, carry = run(
            given._replace(queries=given.queries.bfloat16(), keys=given.keys.bfloat16(), values=given.values.bfloat16())
        )
    assert (narrow.dtype, carry.dtype) == (torch.bfloat16, torch.float32)
    assert (narrow.float() - precise).norm() < 0.02 * precise.norm()


def test_no_steps_hand_the_carry_on() -> None:
    given = problem(steps=0)
    outputs, carry = run(given)
    assert outputs.shape == (B, 0, H, P)
    assert torch.equal(carry, given.carry)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"queries": torch.zeros(B, T, 5)}, "queries"),
        ({"log_decay": torch.zeros(B, T, H + 1)}, "log_decay"),
        ({"phase": torch.zeros(H, N)}, "phase"),
        ({"starts": torch.zeros(B, T)}, "starts"),
        ({"carry": torch.zeros(B, 3, P)}, "carry"),
        ({"backend": "fft"}, "fft"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        run(problem(), **change)
