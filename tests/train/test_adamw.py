"""Our AdamW is torch's, to the bit, and does not import torch's compiler."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from ten.train.adamw import AdamW


def _parameters(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((7, 5), (11,), (3, 2, 4))]


def _groups(parameters: list[nn.Parameter]) -> list[dict[str, object]]:
    return [{"params": parameters[:2], "weight_decay": 0.1}, {"params": parameters[2:], "weight_decay": 0.0}]


def _give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_every_update_equals_torchs_to_the_bit() -> None:
    mine, theirs = _parameters(0), _parameters(0)
    own = AdamW(_groups(mine), lr=0.0, betas=(0.9, 0.95), eps=1e-8)
    reference = torch.optim.AdamW(_groups(theirs), lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=True)
    for step in range(6):
        for optimizer, parameters in ((own, mine), (reference, theirs)):
            _give_gradients(parameters, step)
            if step == 3:
                parameters[1].grad = None
            for group in optimizer.param_groups:
                group["lr"] = 1e-2 / (step + 1)
            optimizer.step()
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True)), step


def test_state_moves_to_another_optimizer_and_to_torchs() -> None:
    mine = _parameters(1)
    own = AdamW(_groups(mine), lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
    _give_gradients(mine, 0)
    own.step()
    copies = [[nn.Parameter(p.detach().clone()) for p in mine] for _ in range(2)]
    again = AdamW(_groups(copies[0]), lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
    torchs = torch.optim.AdamW(_groups(copies[1]), lr=1e-2, betas=(0.9, 0.95), eps=1e-8, fused=True)
    again.load_state_dict(own.state_dict())
    state = copy.deepcopy(own.state_dict()["state"])  # torch shares the tensors it is given
    torchs.load_state_dict({"state": state, "param_groups": torchs.state_dict()["param_groups"]})
    for optimizer, parameters in ((own, mine), (again, copies[0]), (torchs, copies[1])):
        _give_gradients(parameters, 1)
        optimizer.step()
    for a, b, c in zip(mine, *copies, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_zero_grad_leaves_no_gradient() -> None:
    parameters = _parameters(2)
    _give_gradients(parameters, 0)
    AdamW(_groups(parameters), lr=1e-2, betas=(0.9, 0.95), eps=1e-8).zero_grad()
    assert all(parameter.grad is None for parameter in parameters)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_training_step_does_not_import_torchs_compiler(name: str) -> None:
    code = f"""
import sys, torch
from ten.model.lm import LanguageModel
from ten.model.presets import ModelSettings, resolve
from ten.train.optim import build_optimizer
from ten.train.settings import TrainSettings
model = LanguageModel(resolve(ModelSettings(layers=1)), 64)
optimizer = build_optimizer(model, TrainSettings(learning_rate=1e-3, optimizer="{name}"), model.no_decay_names())
model.loss(torch.zeros(1, 9, dtype=torch.int64)).backward()
optimizer.step()
print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
