"""Which optimizer updates which parameter: matrices by the one that a job names, all else by AdamW."""

from collections.abc import Collection

import torch
from torch import nn

from ten.errors import SpecError
from ten.train.adamw import AdamW
from ten.train.adamw8bit import AdamW8bit
from ten.train.muon import Muon
from ten.train.optimizer import Joined, Optimizer
from ten.train.settings import TrainSettings

_EPSILON = 1e-8


def build_optimizer(model: nn.Module, settings: TrainSettings, spared: Collection[str]) -> Optimizer:
    """The optimizer of `train.optimizer` for the model's parameters.

    The parameters named in `spared` (tables, eigenvalues, norms, biases: `LanguageModel.no_decay_names`) take no weight
    decay and are always AdamW's, in fp32; the others are the hidden matrices. Updates are the same in every run on the
    same machine. Learning rates are set by every step.
    Raises SpecError for parameters of another type than `train.weights` says, and where torchao is wanted and missing.
    """
    matrices, rest = _groups(model, settings, spared)
    rate, betas = settings.learning_rate or 0.0, (settings.beta1, settings.beta2)
    if settings.optimizer == "adamw":
        return AdamW(matrices + rest, lr=rate, betas=betas, eps=_EPSILON)
    named: Optimizer
    if settings.optimizer == "muon":
        named = Muon(matrices, lr=rate)
    else:
        named = AdamW8bit(matrices, lr=rate, betas=betas, eps=_EPSILON)
    return Joined(named, AdamW(rest, lr=rate, betas=betas, eps=_EPSILON))


def narrow_weights(model: nn.Module, settings: TrainSettings, spared: Collection[str]) -> None:
    """Put the hidden matrices into the type that `train.weights` names; what is in `spared` stays in fp32."""
    if settings.weights == "fp32":
        return
    for name, parameter in model.named_parameters():
        if name not in spared:
            parameter.data = parameter.data.to(torch.bfloat16)


def _groups(
    model: nn.Module, settings: TrainSettings, spared: Collection[str]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The group of the matrices and the group of all else, each in a list that is empty where there are none."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        wanted = torch.float32 if settings.weights == "fp32" or name in spared else torch.bfloat16
        if parameter.dtype != wanted:
            raise SpecError(
                f"parameter {name} is {parameter.dtype}, and train.weights={settings.weights} keeps it in {wanted}; "
                "train.precision casts for matrix products"
            )
        (rest if name in spared else matrices).append(parameter)
    groups: tuple[dict[str, object], ...] = (
        {"name": "decayed", "params": matrices, "weight_decay": settings.weight_decay},
        {"name": "spared", "params": rest, "weight_decay": 0.0},
    )
    decayed, undecayed = ([group] if group["params"] else [] for group in groups)
    return decayed, undecayed
