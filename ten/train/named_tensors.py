"""The tensors of a model and its optimizer by the names a checkpoint gives them: listed, and given what is stored."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ten.errors import SpecError
from ten.train.distributed import World
from ten.train.optimizer import Optimizer
from ten.train.tensor_file import Kind, StoredTensors

_CURE = "the model settings differ from the run's: use the same ones, or begin a new run"


def load_weights(model: nn.Module, folder: Path, world: World | None = None) -> None:
    """Copy a checkpoint's (or an export's) model.safetensors into `model`; of several ranks rank 0 reads it for all.

    Raises SpecError that names the first tensor that is missing, unknown or of another shape.
    """
    stored = StoredTensors(folder / "model.safetensors", world or World())
    own = model_tensors(model)
    for name in sorted(own.keys() ^ stored.kinds.keys()):
        lacks = "the model lacks" if name in stored.kinds else "the checkpoint lacks"
        raise SpecError(f"{folder}: {lacks} {name}; {_CURE}")
    for name, tensor in own.items():
        if tensor.shape != stored.kinds[name].shape:
            shapes = f"{stored.kinds[name].shape} in the checkpoint, {tuple(tensor.shape)} in the model"
            raise SpecError(f"{folder}: {name} is {shapes}; {_CURE}")
    for name, tensor in own.items():
        stored.read_into(tensor, name)


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters (a shared one once, under its first name) and persistent buffers, by name; not copies."""
    aliases = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    first = dict(model.named_parameters())
    return {name: tensor for name, tensor in model.state_dict().items() if name in first or name not in aliases}


def optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors named "exp_avg/<parameter>"; not copies."""
    names = _optimizer_names(model, optimizer)
    state: Mapping[int, Mapping[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{kind}/{names[number]}": tensor for number, own in state.items() for kind, tensor in own.items()}


def load_optimizer(model: nn.Module, optimizer: Optimizer, folder: Path, world: World) -> None:
    """Give an optimizer the state that a checkpoint's optimizer.safetensors has; rank 0 reads it for all.

    Raises SpecError for a state of a parameter that the model lacks.
    """
    index = {name: number for number, name in enumerate(_optimizer_names(model, optimizer))}
    own = dict(model.named_parameters())
    state: dict[int, dict[str, Tensor]] = {}
    stored = StoredTensors(folder / "optimizer.safetensors", world)
    for key, wanted in stored.kinds.items():
        kind, _, name = key.partition("/")
        if name not in index:
            raise SpecError(f"{folder}: the optimizer has a state for {name}, which this model lacks; {_CURE}")
        moment = _empty(own[name].detach(), wanted)
        stored.read_into(moment, key)
        state.setdefault(index[name], {})[kind] = moment
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _empty(parameter: Tensor, wanted: Kind) -> Tensor:
    """A place for a moment: shared out like its parameter where it has its shape, else whole."""
    if wanted.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=wanted.dtype)
    return torch.empty(wanted.shape, dtype=wanted.dtype, device=parameter.device)


def _optimizer_names(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """Names of the optimizer's parameters in the order in which its state_dict numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    parameters: Iterable[nn.Parameter] = (p for group in optimizer.param_groups for p in group["params"])
    return [names[id(parameter)] for parameter in parameters]
