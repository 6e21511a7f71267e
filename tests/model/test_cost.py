"""Cost formulas: equal to what the real module has."""

from typing import get_args

import pytest
import torch

from ten.model.cost import flops_per_token, forward_flops_per_token, matrix_parameters, parameters, state_bytes
from ten.model.lm import Carry, LanguageModel
from ten.model.presets import PRESETS, ModelConfig, ModelSettings, Variant, resolve


def counted(config: ModelConfig, vocabulary: int) -> int:
    with torch.device("meta"):
        model = LanguageModel(config, vocabulary)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("variant", get_args(Variant))
@pytest.mark.parametrize("name", PRESETS)
def test_the_parameters_of_a_preset_are_counted_exactly(name: str, variant: Variant) -> None:
    config = resolve(ModelSettings(config=name, variant=variant))
    assert parameters(config, 50257) == counted(config, 50257)


def test_the_parameters_of_every_option_are_counted_exactly(config: ModelConfig) -> None:
    assert parameters(config, 37) == counted(config, 37)


def test_the_parameters_of_hidden_matrices_are_those_that_decay(config: ModelConfig) -> None:
    with torch.device("meta"):
        model = LanguageModel(config, 37)
    spared = model.no_decay_names()
    assert matrix_parameters(config) == sum(p.numel() for name, p in model.named_parameters() if name not in spared)


def test_a_matrix_state_costs_what_is_written_read_and_turned() -> None:
    plain = resolve(ModelSettings(config="tiny", variant="matrix", heads=5))
    wide = resolve(ModelSettings(config="tiny", variant="matrix", heads=10))  # half the values in a state
    scans = [forward_flops_per_token(config, 100) - 2 * parameters(config, 100) for config in (plain, wide)]
    assert scans[0] == 2 * scans[1] == plain.layers * plain.eigenstates * 128 * 14


def test_training_costs_about_six_operations_for_each_parameter_and_token() -> None:
    config = PRESETS["large"].config
    assert flops_per_token(config, 50257) == pytest.approx(6 * parameters(config, 50257), rel=0.01)
    assert flops_per_token(config, 50257) == 3 * forward_flops_per_token(config, 50257)


def test_a_position_table_costs_parameters_but_no_operations() -> None:
    plain, placed = resolve(ModelSettings()), resolve(ModelSettings(positions=512))
    assert parameters(placed, 100) == parameters(plain, 100) + 512 * plain.width
    assert forward_flops_per_token(placed, 100) == forward_flops_per_token(plain, 100)


def test_the_state_has_the_bytes_that_are_handed_on(config: ModelConfig) -> None:
    model = LanguageModel(config, 37)
    _, carry = model(torch.zeros(1, 5, dtype=torch.long))
    assert state_bytes(config) == _bytes(carry)


def _bytes(carry: Carry) -> int:
    tensors = [tensor for layer in carry.layers for tensor in layer]
    if carry.position is not None:
        tensors.append(carry.position)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
