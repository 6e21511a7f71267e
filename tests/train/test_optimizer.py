"""Optimizers joined, and weights in bf16: rounding that is right in the mean, and updates that are not lost."""

import copy

import pytest
import torch
from torch import nn

from ten.train.adamw import AdamW
from ten.train.muon import Muon
from ten.train.optimizer import Joined, Optimizer, stochastic_bf16


def _joined(matrices: list[nn.Parameter], rest: list[nn.Parameter]) -> Joined:
    return Joined(
        Muon([{"params": matrices, "weight_decay": 0.1}], lr=1e-2),
        AdamW([{"params": rest, "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.95), eps=1e-8),
    )


def _alone(kind: str, group: dict[str, object], rate: float) -> Optimizer:
    if kind == "muon":
        return Muon([group], lr=rate)
    return AdamW([group], lr=rate, betas=(0.9, 0.95), eps=1e-8)


def _parameters(seed: int) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    generator = torch.Generator().manual_seed(seed)
    matrices = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (2, 5))]
    return matrices, [nn.Parameter(torch.randn(6, generator=generator)) for _ in range(3)]


def _give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def test_a_joined_state_is_numbered_on_and_goes_back_to_its_parts() -> None:
    mine, theirs = _parameters(0), _parameters(0)
    own, again = _joined(*mine), _joined(*theirs)
    _give_gradients([*mine[0], *mine[1]], 0)
    mine[1][1].grad = None
    own.step()
    tree = own.state_dict()
    assert {number: sorted(state) for number, state in tree["state"].items()} == {
        0: ["momentum_buffer"],
        1: ["momentum_buffer"],
        2: ["exp_avg", "exp_avg_sq", "step"],
        4: ["exp_avg", "exp_avg_sq", "step"],
    }
    assert [group["params"] for group in tree["param_groups"]] == [[0, 1], [2, 3, 4]]
    again.load_state_dict(copy.deepcopy(tree))
    with torch.no_grad():
        for a, b in zip([*theirs[0], *theirs[1]], [*mine[0], *mine[1]], strict=True):
            a.copy_(b)
    for optimizer, parts in ((own, mine), (again, theirs)):
        _give_gradients([*parts[0], *parts[1]], 1)
        optimizer.step()
        optimizer.zero_grad()
    for a, b in zip([*mine[0], *mine[1]], [*theirs[0], *theirs[1]], strict=True):
        assert torch.equal(a, b)
        assert a.grad is None


def test_rounding_goes_to_the_two_neighbours_and_is_right_in_the_mean() -> None:
    torch.manual_seed(0)
    values = torch.tensor([1.0, 1.001, -1.006, 3.14159, 1e-30, -65000.0, 0.0])
    spacing = 2.0 ** (torch.frexp(values).exponent - 8)
    drawn = torch.stack([stochastic_bf16(values).float() for _ in range(4000)])
    assert ((drawn - values).abs() < spacing).all()
    assert torch.equal(drawn[:, [0, 6]], values[[0, 6]].expand(4000, 2))
    assert ((drawn.mean(0) - values).abs() <= 0.05 * spacing).all()


def test_the_same_random_state_rounds_alike() -> None:
    values = torch.randn(500)
    torch.manual_seed(7)
    first = stochastic_bf16(values)
    torch.manual_seed(7)
    assert torch.equal(stochastic_bf16(values), first)
    assert not torch.equal(stochastic_bf16(values), first)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_updates_far_below_the_spacing_of_bf16_add_up(kind: str) -> None:
    torch.manual_seed(3)
    weight = nn.Parameter(torch.ones(32, 32).bfloat16())
    group, rate = {"params": [weight], "weight_decay": 0.1}, 1e-4
    optimizer = _alone(kind, group, rate)
    for _ in range(400):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert weight.dtype == torch.bfloat16
    assert float(weight.detach().float().mean()) == pytest.approx((1 - 0.1 * rate) ** 400, abs=3e-4)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_moments_of_bf16_weights_are_those_of_fp32(kind: str) -> None:
    narrow = [nn.Parameter(torch.randn(5, 4).bfloat16())]
    wide = [nn.Parameter(narrow[0].detach().float())]
    states = []
    for parameters in (narrow, wide):
        group = {"params": parameters, "weight_decay": 0.0}
        optimizer = _alone(kind, group, 1e-3)
        gradient = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).bfloat16()
        parameters[0].grad = gradient.to(parameters[0].dtype)
        optimizer.step()
        states.append(optimizer.state_dict()["state"][0])
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_what_is_prepared_is_all_there_and_changes_no_update() -> None:
    mine, theirs = _parameters(0), _parameters(0)
    own, plain = _joined(*mine), _joined(*theirs)
    own.prepare()
    assert sorted(own.state_dict()["state"]) == [0, 1, 2, 3, 4]
    for optimizer, parts in ((own, mine), (plain, theirs)):
        _give_gradients([*parts[0], *parts[1]], 0)
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip([*mine[0], *mine[1]], [*theirs[0], *theirs[1]], strict=True))
    moments = own.state_dict()["state"]
    own.prepare()
    assert all(own.state_dict()["state"][n][kind] is t for n, state in moments.items() for kind, t in state.items())
