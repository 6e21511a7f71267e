"""AdamW over named parameter groups: matrices decay, eigenvalues, norms and biases do not."""

from collections.abc import Collection

import torch
from torch import nn

from ten.errors import SpecError
from ten.train.adamw import AdamW
from ten.train.settings import TrainSettings


def build_optimizer(model: nn.Module, settings: TrainSettings, spared: Collection[str]) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019); the parameters named in `spared` take no weight decay.

    The fused update is elementwise, so it is deterministic on CPU and CUDA. Learning rates are set by every step.
    Raises SpecError for parameters that are not fp32: AdamW's small updates are lost in a narrower type.
    """
    groups = _groups(model, settings.weight_decay, spared)
    betas = (settings.beta1, settings.beta2)
    return AdamW(groups, lr=settings.learning_rate or 0.0, betas=betas, eps=1e-8)


def _groups(model: nn.Module, weight_decay: float, spared: Collection[str]) -> list[dict[str, object]]:
    with_decay: list[nn.Parameter] = []
    without: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.dtype != torch.float32:
            raise SpecError(
                f"parameter {name} is {parameter.dtype}; weights are kept in fp32 and train.precision casts"
            )
        (without if name in spared else with_decay).append(parameter)
    groups: list[dict[str, object]] = [
        {"name": "decayed", "params": with_decay, "weight_decay": weight_decay},
        {"name": "spared", "params": without, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
