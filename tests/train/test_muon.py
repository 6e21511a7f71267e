"""Our Muon is torch's, to the bit, where AdamW's learning rates suit it; its directions are nearly orthogonal."""

import copy

import pytest
import torch
from torch import nn

from ten.train.muon import Muon, orthogonalised

RATE, DECAY = 1e-2, 0.1


def _matrices(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((7, 5), (4, 9), (6, 6), (1, 3))]


def _give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def _ours(parameters: list[nn.Parameter]) -> Muon:
    return Muon([{"params": parameters, "weight_decay": DECAY}], lr=RATE)


def _torchs(parameters: list[nn.Parameter]) -> torch.optim.Muon:
    return torch.optim.Muon(parameters, lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")


def test_every_update_equals_torchs_to_the_bit() -> None:
    mine, theirs = _matrices(0), _matrices(0)
    own, reference = _ours(mine), _torchs(theirs)
    for step in range(6):
        for optimizer, parameters in ((own, mine), (reference, theirs)):
            _give_gradients(parameters, step)
            if step == 3:
                parameters[1].grad = None
            optimizer.param_groups[0]["lr"] = RATE / (step + 1)
            optimizer.step()
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True)), step


def test_state_moves_to_another_optimizer_and_to_torchs() -> None:
    mine = _matrices(1)
    own = _ours(mine)
    _give_gradients(mine, 0)
    own.step()
    copies = [[nn.Parameter(p.detach().clone()) for p in mine] for _ in range(2)]
    again, reference = _ours(copies[0]), _torchs(copies[1])
    again.load_state_dict(copy.deepcopy(own.state_dict()))
    state = copy.deepcopy(own.state_dict()["state"])
    reference.load_state_dict({"state": state, "param_groups": reference.state_dict()["param_groups"]})
    for optimizer, parameters in ((own, mine), (again, copies[0]), (reference, copies[1])):
        _give_gradients(parameters, 1)
        optimizer.step()
    for a, b, c in zip(mine, *copies, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (30, 30)])
def test_a_direction_has_singular_values_near_one_and_the_matrix_s_own_vectors(shape: tuple[int, int]) -> None:
    left, _, right = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(2)), False)
    scales = torch.linspace(0.1, 1.0, min(shape))
    direction = orthogonalised(left @ scales.diag() @ right).float()
    turned = left.T @ direction @ right.T
    assert turned.diag().min() > 0.6
    assert turned.diag().max() < 1.3
    assert (turned - turned.diag().diag()).abs().max() < 0.1


def test_an_update_has_the_size_of_adamw_s_whatever_the_shape() -> None:
    matrices = [nn.Parameter(torch.zeros(shape)) for shape in ((64, 64), (32, 256), (256, 32))]
    _give_gradients(matrices, 0)
    Muon([{"params": matrices, "weight_decay": 0.0}], lr=1.0).step()
    for matrix in matrices:
        assert 0.1 < float(matrix.detach().square().mean().sqrt()) < 0.3


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\)"):
        _ours([nn.Parameter(torch.zeros(3))])
