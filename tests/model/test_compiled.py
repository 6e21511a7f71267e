"""Blocks under `torch.compile`: one graph each, with the scan in it as one node."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ten.model.block import Block
from ten.model.documents import documents
from ten.model.presets import ModelSettings, resolve


@pytest.mark.parametrize("variant", ["ten", pytest.param("paper", marks=pytest.mark.slow)])
def test_a_block_has_no_graph_break_and_keeps_its_results(variant: Any) -> None:
    torch.manual_seed(0)
    config = resolve(ModelSettings(variant=variant, width=16, eigenstates=8))
    block = Block(config)
    starts = torch.rand(2, 12) < 0.2
    x = torch.randn(2, 12, 16, requires_grad=True)

    def run(x: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        y, carry = block(x, documents(starts, config.convolution), None)
        return y, carry.state

    torch.compiler.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    results = []
    for function in (run, compiled):
        y, state = function(x, starts)
        gradients = torch.autograd.grad(y.square().sum() + state.sum(), [x, *block.parameters()])
        results.append([y, state, *gradients])
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager)
