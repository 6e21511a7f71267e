"""The outer-product scan on a GPU: near its loop over time in fp64, in outputs, carries and gradients."""

import pytest
import torch
from torch import Tensor

from ten.scan.outer import outer_scan

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
B, T, H, N, P = 2, 611, 3, 32, 128


def problem() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"queries": (B, T, 2 * H * N), "keys": (B, T, 2 * H * N), "values": (B, T, H, P), "phase": (H, N)}
    drawn = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    drawn["queries"] /= (2 * N) ** 0.5
    drawn["keys"] /= (2 * N) ** 0.5
    drawn["log_decay"] = -0.1 * torch.randn(B, T, H, generator=generator, dtype=torch.float64).exp()
    return {name: drawn[name] for name in ("queries", "keys", "values", "log_decay", "phase")}


def run(given: dict[str, Tensor], starts: Tensor, backend: str = "auto") -> tuple[list[Tensor], list[Tensor]]:
    taken = {name: tensor.clone().requires_grad_() for name, tensor in given.items()}
    queries, keys, values, log_decay, phase = taken.values()
    here = starts.to(values.device)
    outputs, carry = outer_scan(queries, keys, values, log_decay, phase, starts=here, backend=backend)
    loss = outputs.double().square().sum() + carry.double().sum()
    return [outputs, carry], list(torch.autograd.grad(loss, list(taken.values())))


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-4), (torch.bfloat16, 6e-2)])
def test_outputs_carry_and_gradients_are_near_the_loop_over_time(dtype: torch.dtype, near: float) -> None:
    precise, state = problem(), ("log_decay", "phase")
    given = {n: t.to("cuda", torch.float32 if n in state else dtype) for n, t in precise.items()}
    starts = torch.zeros(B, T, dtype=torch.bool)
    starts[:, [0, 70, 71, 500]] = True
    wanted, found = run(precise, starts, backend="reference"), run(given, starts)
    for mine, theirs in zip([*found[0], *found[1]], [*wanted[0], *wanted[1]], strict=True):
        assert float((mine.detach().double().cpu() - theirs.detach()).norm()) < near * float(theirs.detach().norm())


def test_two_runs_give_the_same_bits() -> None:
    given = {name: tensor.to("cuda", torch.float32) for name, tensor in problem().items()}
    starts = torch.zeros(B, T, dtype=torch.bool)
    first, second = run(given, starts), run(given, starts)
    assert all(torch.equal(a, b) for a, b in zip([*first[0], *first[1]], [*second[0], *second[1]], strict=True))
