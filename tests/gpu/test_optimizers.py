"""Optimizers on a GPU: compiled 8-bit AdamW near AdamW and resumed to the bit, Muon near its CPU self."""

import pytest
import torch
from torch import nn

from ten.train.adamw import AdamW
from ten.train.adamw8bit import AdamW8bit
from ten.train.muon import Muon
from ten.train.optimizer import Optimizer, stochastic_bf16

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's compiler imports deprecated parts of torch
]
RATE, BETAS, EPS = 1e-2, (0.9, 0.95), 1e-8


def matrices(dtype: torch.dtype, device: str = "cuda") -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randn(shape, generator=generator) for shape in ((256, 384), (640, 128)))
    return [nn.Parameter(matrix.to(device, dtype)) for matrix in drawn]


def group(parameters: list[nn.Parameter]) -> list[dict[str, object]]:
    return [{"name": "decayed", "params": parameters, "weight_decay": 0.1}]


def step(optimizer: Optimizer, number: int) -> None:
    generator = torch.Generator().manual_seed(100 + number)
    for own in optimizer.param_groups:
        for parameter in own["params"]:
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter)
    optimizer.step()


def test_8_bit_weights_stay_near_those_of_adamw() -> None:
    pytest.importorskip("torchao")
    mine, theirs = matrices(torch.float32), matrices(torch.float32)
    start = [matrix.detach().clone() for matrix in mine]
    own = AdamW8bit(group(mine), lr=RATE, betas=BETAS, eps=EPS)
    reference = AdamW(group(theirs), lr=RATE, betas=BETAS, eps=EPS)
    for number in range(6):
        step(own, number)
        step(reference, number)
    for a, b, before in zip(mine, theirs, start, strict=True):
        assert float((a - b).detach().norm()) < 0.05 * float((b.detach() - before).norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_8_bit_state_taken_over_goes_on_to_the_bit(dtype: torch.dtype) -> None:
    pytest.importorskip("torchao")
    mine = matrices(dtype)
    own = AdamW8bit(group(mine), lr=RATE, betas=BETAS, eps=EPS)
    for number in range(3):
        step(own, number)
    theirs = [nn.Parameter(matrix.detach().clone()) for matrix in mine]
    again = AdamW8bit(group(theirs), lr=RATE, betas=BETAS, eps=EPS)
    tree = own.state_dict()["state"]
    again.load_state_dict({"state": {n: {k: t.cpu() for k, t in state.items()} for n, state in tree.items()}})
    random_state = torch.cuda.get_rng_state()
    for optimizer in (own, again):
        torch.cuda.set_rng_state(random_state)
        for number in range(3, 6):
            step(optimizer, number)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_muon_is_near_its_update_on_a_cpu() -> None:
    here, there = matrices(torch.float32), matrices(torch.float32, "cpu")
    for parameters in (here, there):
        optimizer = Muon(group(parameters), lr=RATE)
        for number in range(3):
            step(optimizer, number)
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(a.detach().cpu(), b.detach(), rtol=0.05, atol=0.02)


def test_rounding_draws_from_the_device_s_generator() -> None:
    values = torch.randn(10_000, device="cuda")
    torch.cuda.manual_seed(3)
    first = stochastic_bf16(values)
    torch.cuda.manual_seed(3)
    assert torch.equal(stochastic_bf16(values), first)
    assert float((first.float() - values).mean().abs()) < 1e-4
