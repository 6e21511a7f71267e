"""A model's parameters on its ranks: all of them on each, or shared out among them (FSDP2, torch's `fully_shard`).

A parameter that is shared out is a DTensor: each rank holds a slice of its first axis, of the gradient and of the
optimizer's moments alike. A block is gathered for its pass and let go of after it. FSDP2 is imported only when it is
asked for: it brings torch's compiler, seconds of CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ten.train.distributed import World
from ten.train.settings import Sharding

if TYPE_CHECKING:
    from ten.model.lm import LanguageModel

BYTES_PER_PARAMETER = 16
"""Of training in fp32: weight, gradient and AdamW's two moments."""
_MOST_OF_CARD = 0.6
"""Part of a card's memory that they may take on every rank; activations want the rest."""


def open_model(model: LanguageModel, choice: Sharding, world: World) -> World:
    """Place a new model on the world's device, with rank 0's parameters and buffers; the world as it trains there.

    Build the optimizer afterwards: the parameters of a model that is shared out are other objects.
    """
    if world.size == 1 or not _wants_slices(model, choice, world):
        model.to(world.device)
        world.share([*model.parameters(), *model.buffers()])
        return world
    _share_out(model, world)
    return replace(world, in_step=True)


def _wants_slices(model: nn.Module, choice: Sharding, world: World) -> bool:
    """`auto`: only where all would not fit on rank 0's card; every rank does as rank 0."""
    wanted = choice == "shard"
    if choice == "auto" and world.device.type == "cuda":
        memory = torch.cuda.get_device_properties(world.device).total_memory
        wanted = sum(p.numel() for p in model.parameters()) * BYTES_PER_PARAMETER > _MOST_OF_CARD * memory
    return bool(world.from_first(wanted))


def _share_out(model: LanguageModel, world: World) -> None:
    """Block by block, so that no card ever holds the whole model."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    for module in [*model.blocks, model]:
        own = [t for t in [*module.parameters(), *module.buffers()] if not is_shared_out(t)]
        for tensor in own:
            tensor.data = tensor.data.to(world.device)
        world.share(own)
        part: Any = fully_shard(module, mesh=mesh)
        # The loss is a sum over all tokens, so gradients add up; FSDP2 would average them.
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)


@contextmanager
def accumulating(model: nn.Module, world: World, *, is_last: bool) -> Iterator[None]:
    """Around each backward pass of a step: only from within the last one do gradients go to the other ranks.

    Does nothing where every rank has all parameters: `World.sum_gradients` comes after the last pass there. Whoever
    runs several backward passes within a micro-batch says `is_last` for the last of the last one alone. Before it each
    rank keeps whole gradients, 4 bytes a parameter.
    """
    if not world.in_step:
        yield
        return
    _shared_out(model).set_requires_gradient_sync(is_last)
    try:
        yield
    finally:
        _shared_out(model).set_requires_gradient_sync(True)


def forget_gradients(model: nn.Module, world: World) -> None:
    """Drop whole gradients that an abandoned step has left; every rank must."""
    if not world.in_step:
        return
    for module in model.modules():
        if hasattr(module, "unshard"):
            part = _shared_out(module)
            part.unshard()
            for parameter in module.parameters(recurse=True):
                parameter.grad = None
            part.reshard()


def settle(model: nn.Module, world: World) -> None:
    """After passes without a backward pass: let go of what they gathered, so that parameters are slices again."""
    if world.in_step:
        _shared_out(model).reshard()


@torch.no_grad()
def local(tensor: Tensor) -> Tensor:
    """This rank's slice of a tensor that is shared out, any other as it is; no copy."""
    shared: Any = tensor
    own: Tensor = shared.to_local() if is_shared_out(tensor) else tensor
    return own


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, gathered where it is shared out: every rank must ask."""
    shared: Any = tensor
    full: Tensor = shared.full_tensor() if is_shared_out(tensor) else tensor
    return full


@torch.no_grad()
def fill(tensor: Tensor, stored: Tensor | None, world: World) -> None:
    """Give a parameter or moment the value that rank 0 has `stored`: to all ranks the whole, or each its slice."""
    received = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device) if is_shared_out(tensor) else tensor
    if stored is not None:
        received.copy_(stored)
    world.share([received])
    if received is not tensor:
        from torch.distributed.tensor import distribute_tensor

        shared: Any = tensor
        own = distribute_tensor(received, shared.device_mesh, shared.placements, src_data_rank=None)
        local(tensor).copy_(local(own))


def is_shared_out(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor, of which each rank has a slice; without an import of that class."""
    return hasattr(tensor, "placements")


def _shared_out(module: nn.Module) -> Any:
    """A module that `fully_shard` has given further methods."""
    return module
