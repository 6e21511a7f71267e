"""Parameter groups of the optimizer."""

import pytest
import torch

from ten.errors import SpecError
from ten.model.lm import LanguageModel
from ten.model.presets import ModelSettings, resolve
from ten.train.optim import build_optimizer
from ten.train.settings import TrainSettings
from tests.train.tiny import tiny_model


def test_spared_parameters_do_not_decay_and_the_others_do() -> None:
    model = tiny_model()
    optimizer = build_optimizer(model, TrainSettings(weight_decay=0.5, learning_rate=1e-2), {"mix.bias"})
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        if name == "mix.bias":
            assert torch.equal(parameter, before[name])
        else:
            torch.testing.assert_close(parameter.detach(), before[name] * (1 - 1e-2 * 0.5))


def test_the_real_models_eigenvalues_norms_and_biases_are_spared() -> None:
    model = LanguageModel(resolve(ModelSettings(config="nano")), vocabulary=64)
    optimizer = build_optimizer(model, TrainSettings(), model.no_decay_names())
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decays) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            assert decays[id(parameter)] == 0.0, name
    assert max(decays.values()) == TrainSettings().weight_decay


def test_parameters_narrower_than_fp32_are_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"embedding is torch\.bfloat16"):
        build_optimizer(tiny_model().bfloat16(), TrainSettings(), set())
