"""Blocks: what they hold after the whole model has been built."""

import pytest
import torch
from torch import nn

from ten.model.block import Block, SiLUMLP, SwiGLU
from ten.model.lm import LanguageModel
from ten.model.matrix_mixer import MatrixMixer
from ten.model.presets import ModelSettings, resolve


def first_block(settings: ModelSettings) -> Block:
    torch.manual_seed(0)
    block = LanguageModel(resolve(settings), 300).blocks[0]
    assert isinstance(block, Block)
    return block


def test_the_default_block_has_rms_norms_and_swiglu() -> None:
    block = first_block(ModelSettings())
    assert isinstance(block.mixer_norm, nn.RMSNorm)
    assert isinstance(block.mlp, SwiGLU)
    up, down = block.mlp.up.weight, block.mlp.down.weight
    assert up.std().item() == pytest.approx(0.5 / 80**0.5, rel=0.05)
    assert down.std().item() == pytest.approx(0.5 / (224 * 2 * 4) ** 0.5, rel=0.05)


def test_the_matrix_block_is_the_default_one_around_another_mixer() -> None:
    block = first_block(ModelSettings(variant="matrix"))
    assert isinstance(block.mixer, MatrixMixer)
    assert isinstance(block.mixer_norm, nn.RMSNorm)
    assert isinstance(block.mlp, SwiGLU)


def test_the_published_block_has_layer_norms_and_a_silu_mlp() -> None:
    block = first_block(ModelSettings(variant="paper"))
    assert isinstance(block.mixer_norm, nn.LayerNorm)
    assert isinstance(block.mlp, SiLUMLP)
    assert block.mlp.up.weight.shape == (320, 80)
    assert not block.mlp.up.bias.any()
    assert block.mlp.down.weight.std().item() == pytest.approx(0.02, rel=0.05)
