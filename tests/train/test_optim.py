"""Which optimizer gets which parameter, in which group and type."""

import re
from typing import get_args

import pytest
import torch

from ten.errors import SpecError
from ten.model.lm import LanguageModel
from ten.model.presets import ModelSettings, Variant, resolve
from ten.train.optim import build_optimizer, narrow_weights
from ten.train.settings import OptimizerName, TrainSettings
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


@pytest.mark.parametrize("variant", get_args(Variant))
def test_muon_gets_the_hidden_matrices_and_adamw_everything_else(variant: Variant) -> None:
    model = LanguageModel(resolve(ModelSettings(config="nano", variant=variant, positions=8)), vocabulary=64)
    optimizer = build_optimizer(model, TrainSettings(optimizer="muon"), model.no_decay_names())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    grouped = {group["name"]: {names[id(p)] for p in group["params"]} for group in optimizer.param_groups}
    assert grouped["decayed"] == {
        name
        for name in names.values()
        if name.startswith("blocks.") and re.search(r"(projection|up|down|output|gate|modulation)\.weight$", name)
    }
    assert grouped["decayed"] | grouped["spared"] == set(names.values())


def test_parameters_of_another_type_than_the_settings_say_are_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"embedding is torch\.bfloat16.*train\.weights=fp32"):
        build_optimizer(tiny_model().bfloat16(), TrainSettings(), set())
    with pytest.raises(SpecError, match=r"embedding is torch\.float32.*train\.weights=bf16"):
        build_optimizer(tiny_model(), TrainSettings(weights="bf16"), set())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_bf16_weights_are_matrices_and_nothing_else(optimizer: OptimizerName) -> None:
    model = tiny_model()
    settings = TrainSettings(weights="bf16", optimizer=optimizer, learning_rate=1e-2)
    narrow_weights(model, settings, {"mix.bias"})
    built = build_optimizer(model, settings, {"mix.bias"})
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    built.step()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if name == "mix.bias" else torch.bfloat16)
        assert not torch.equal(parameter, before[name])
