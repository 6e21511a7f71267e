"""Sizes by formula: those of the tensors that a checkpoint of the real model has."""

import itertools
from typing import get_args

import pytest
import torch

from ten.model.lm import LanguageModel
from ten.model.presets import ModelSettings, Variant, resolve
from ten.train.checkpoint import model_tensors, optimizer_tensors
from ten.train.checkpoint_size import checkpoint_bytes, optimizer_bytes, weight_bytes
from ten.train.optim import build_optimizer, narrow_weights
from ten.train.settings import OptimizerName, TrainSettings, Weights

VOCABULARY = 300


@pytest.mark.parametrize(("optimizer", "weights"), list(itertools.product(get_args(OptimizerName), get_args(Weights))))
@pytest.mark.parametrize("variant", get_args(Variant))
def test_sizes_are_those_of_a_real_checkpoint(variant: Variant, optimizer: OptimizerName, weights: Weights) -> None:
    if optimizer == "adamw8bit":
        pytest.importorskip("torchao")
    # widths at which every matrix has 4096 weights, in whole blocks of 256
    chosen = ModelSettings(variant=variant, layers=2, width=64, eigenstates=32, mlp_width=128, heads=4)
    config, settings = resolve(chosen), TrainSettings(optimizer=optimizer, weights=weights, learning_rate=1e-3)
    model = LanguageModel(config, VOCABULARY)
    narrow_weights(model, settings, model.no_decay_names())
    built = build_optimizer(model, settings, model.no_decay_names())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    built.step()
    state = optimizer_tensors(model, built)
    assert sum(tensor.nbytes for tensor in model_tensors(model).values()) == weight_bytes(config, VOCABULARY, settings)
    found = sum(tensor.nbytes for name, tensor in state.items() if not name.startswith("step/"))
    assert found == optimizer_bytes(config, VOCABULARY, settings)


def test_adamw_in_fp32_takes_twelve_bytes_a_weight() -> None:
    config = resolve(ModelSettings())
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in LanguageModel(config, VOCABULARY).parameters())
    assert checkpoint_bytes(config, VOCABULARY, TrainSettings()) == 12 * weights
