"""Rehearsal: one block compiled by running it once, forward and backward, with the shapes of training (torch).

All blocks of a model share one code object, so what one of them compiles serves all. Only the parts that import torch's
compiler are inside functions: a process that compiles nothing never loads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

import msgspec
import torch
from torch import nn

from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig
from ten.train.backward import Autocast, Backward

_VOCABULARY = 128
"""Of the model that is run: the least, for head and embedding are not compiled."""


def rehearse(
    config: ModelConfig, backward: Backward, *, rows: int, seq_len: int, device: torch.device, autocast: Autocast
) -> None:
    """Compile a block of `config` for micro-batches of (rows, seq_len) tokens, by `backward` of a model of one layer.

    What was compiled stays in this process and in torch's compile cache on disk. Weights of training and the global
    random state are not touched. Raises what torch's compiler raises, and torch.OutOfMemoryError.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        model = LanguageModel(msgspec.structs.replace(config, layers=1), _VOCABULARY).to(device)
        compile_blocks(model.blocks)
        tokens = torch.randint(0, _VOCABULARY, (rows, seq_len + 1), device=device)
        starts = torch.zeros(rows, seq_len, dtype=torch.bool, device=device)
        try:
            backward(model, tokens, starts, autocast)
        finally:
            run_eagerly(model.blocks)  # a compiled block refers to itself, and would keep its weights
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def compile_blocks(blocks: Iterable[nn.Module]) -> None:
    """Let the blocks run compiled from now on, in place; each compiles at its first call unless another one has.

    `forward` is wrapped and not the whole call: hooks stay outside of the graphs.
    """
    for block in blocks:
        setattr(block, "forward", torch.compile(block.forward, dynamic=False))  # noqa: B010 (no method to mypy)


def run_eagerly(blocks: Iterable[nn.Module]) -> None:
    """Undo `compile_blocks`."""
    for block in blocks:
        block.__dict__.pop("forward", None)


def compiling_nothing_new() -> AbstractContextManager[None]:
    """From the call on, code compiled for other shapes or modes runs eagerly instead of being compiled again.

    Evaluations, and whatever else no rehearsal was for, so never stop to compile. As a context it ends with the block.
    """
    stance: AbstractContextManager[None] = torch.compiler.set_stance("eager_on_recompile")
    return stance
