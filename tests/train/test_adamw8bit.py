"""8-bit AdamW: near AdamW, a quarter of its state, resumed to the bit; without torchao an error names the extra."""

import sys
from importlib import import_module

import pytest
import torch
from torch import nn

from ten.errors import SpecError
from ten.train.adamw import AdamW
from ten.train.adamw8bit import AdamW8bit
from ten.train.optimizer import stochastic_bf16

RATE = 1e-2
ADAM = {"lr": RATE, "betas": (0.9, 0.95), "eps": 1e-8}


def _parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    """One large enough to be quantised, one too small."""
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in ((64, 80), (7, 5))]


def _groups(parameters: list[nn.Parameter]) -> list[dict[str, object]]:
    return [{"name": "decayed", "params": parameters, "weight_decay": 0.1}]


def _step(optimizer: AdamW | AdamW8bit, step: int, rate: float = RATE) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for group in optimizer.param_groups:
        group["lr"] = rate
        for parameter in group["params"]:
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    optimizer.step()
    optimizer.zero_grad()


@pytest.fixture(scope="module", autouse=True)
def torchao() -> None:
    pytest.importorskip("torchao")


def test_weights_stay_near_those_of_adamw() -> None:
    mine, theirs = _parameters(), _parameters()
    start = [parameter.detach().clone() for parameter in mine]
    own, reference = AdamW8bit(_groups(mine), **ADAM), AdamW(_groups(theirs), **ADAM)  # type: ignore[arg-type]
    for step in range(8):
        _step(own, step)
        _step(reference, step)
    torch.testing.assert_close(mine[1], theirs[1], rtol=1e-5, atol=1e-6)  # too small to be quantised
    moved = (theirs[0].detach() - start[0]).norm()
    assert 0 < float((mine[0] - theirs[0]).detach().norm() / moved) < 0.05


def test_the_rate_of_every_step_is_taken() -> None:
    parameters = _parameters()
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = AdamW8bit(_groups(parameters), **ADAM)  # type: ignore[arg-type]
    _step(optimizer, 0, rate=0.0)
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))


def test_the_state_has_a_byte_a_weight_and_moment() -> None:
    parameters = _parameters()
    optimizer = AdamW8bit(_groups(parameters), **ADAM)  # type: ignore[arg-type]
    _step(optimizer, 0)
    state = optimizer.state_dict()["state"]
    assert {kind: tensor.dtype for kind, tensor in state[0].items()} == {
        "step": torch.float32,
        "exp_avg.codes": torch.uint8,
        "exp_avg.scale": torch.float32,
        "exp_avg_sq.codes": torch.uint8,
        "exp_avg_sq.scale": torch.float32,
    }
    assert sum(tensor.nbytes for tensor in state[0].values()) == 2 * 64 * 80 * (1 + 4 / 256) + 4
    assert set(state[1]) == {"step", "exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_state_taken_over_goes_on_to_the_bit(dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    mine = _parameters(dtype)
    own = AdamW8bit(_groups(mine), **ADAM)  # type: ignore[arg-type]
    for step in range(3):
        _step(own, step)
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in mine]
    again = AdamW8bit(_groups(theirs), **ADAM)  # type: ignore[arg-type]
    stored = {number: {kind: t.clone() for kind, t in own.items()} for number, own in own.state_dict()["state"].items()}
    again.load_state_dict({"state": stored})
    random_state = torch.get_rng_state()
    for step in range(3, 6):
        _step(own, step)
    torch.set_rng_state(random_state)
    for step in range(3, 6):
        _step(again, step)
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a, b)
    ours, others = (optimizer.state_dict()["state"] for optimizer in (own, again))
    assert all(torch.equal(ours[n][kind], others[n][kind]) for n in ours for kind in ours[n])


def test_our_rounding_is_torchao_s_to_the_bit() -> None:
    values = torch.randn(3, 700)
    torch.manual_seed(2)
    theirs = import_module("torchao.optim.quant_utils")._fp32_to_bf16_sr(values)
    torch.manual_seed(2)
    assert torch.equal(stochastic_bf16(values), theirs)


def test_without_torchao_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.optim", None)
    with pytest.raises(SpecError, match=r"adamw8bit needs torchao.*ten\[lowbit\].*adamw"):
        AdamW8bit(_groups(_parameters()), **ADAM)  # type: ignore[arg-type]
