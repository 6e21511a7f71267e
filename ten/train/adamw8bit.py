"""AdamW whose moments are kept in 8 bits, by torchao (extra `lowbit`); asked for, it imports torch's compiler."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ten.errors import SpecError
from ten.train.optimizer import numbered, parameters_of

_MOMENTS = ("exp_avg", "exp_avg_sq")


class AdamW8bit:
    """torchao's AdamW8bit (block-wise 8-bit moments: Dettmers et al. 2022) as the optimizers here are.

    Blocks of 256; parameters below 4096 values, or not of whole blocks, keep moments of their own type. A bf16
    parameter is rounded stochastically. On CUDA its update is compiled, a kernel a shape, in the first step; on a CPU
    it runs uncompiled, because compiling there needs a C++ compiler and longer than a small run.

    Raises SpecError where torchao is not installed.
    """

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], *, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": lr, **group} for group in groups]
        own = [{name: group[name] for name in ("params", "weight_decay")} for group in self.param_groups]
        self._torchao = _import_torchao()
        self._inner = self._torchao.AdamW8bit(own, lr=lr, betas=betas, eps=eps, bf16_stochastic_round=True)

    def prepare(self) -> None:
        """Nothing: torchao makes the moments in the first step."""

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._inner.zero_grad()

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group, inner in zip(self.param_groups, self._inner.param_groups, strict=True):
            inner["lr"].fill_(group["lr"])  # a tensor: a number would be compiled into the kernel
        with self._stance():
            self._inner.step()

    def state_dict(self) -> dict[str, Any]:
        """States by the parameter's number, a quantised moment as two tensors (`exp_avg.codes`, `exp_avg.scale`)."""
        return numbered(self.param_groups, {parameter: _flat(own) for parameter, own in self._inner.state.items()})

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take the states from a `state_dict`, to the bit; the groups stay as they are."""
        parameters = list(parameters_of(self.param_groups))
        self._inner.state.clear()
        for number, state in tree["state"].items():
            parameter = parameters[number]
            moments = {kind: self._moment(parameter, kind, state) for kind in _MOMENTS}
            self._inner.state[parameter] = {"step": state["step"].to("cpu", copy=True), **moments}

    def _moment(self, parameter: nn.Parameter, kind: str, state: Mapping[str, Tensor]) -> Tensor:
        if kind in state:
            return state[kind].to(parameter.device, copy=True)
        codes, scale = state[f"{kind}.codes"], state[f"{kind}.scale"]
        moment: Tensor = self._torchao.subclass_8bit.OptimState8bit.zeros(
            codes.shape, kind == "exp_avg", codes.numel() // scale.numel(), parameter.device, dtype=parameter.dtype
        )
        stored: Any = moment
        stored.codes.copy_(codes)
        stored.scale.copy_(scale)
        return moment

    def _stance(self) -> AbstractContextManager[None]:
        on_cpu = all(parameter.device.type == "cpu" for parameter in parameters_of(self.param_groups))
        return torch.compiler.set_stance("force_eager") if on_cpu else nullcontext()


def _flat(state: Mapping[str, Any]) -> dict[str, Tensor]:
    flat: dict[str, Tensor] = {}
    for kind, tensor in state.items():
        if hasattr(tensor, "codes"):
            flat |= {f"{kind}.codes": tensor.codes, f"{kind}.scale": tensor.scale}
        else:
            flat[kind] = tensor
    return flat


def _import_torchao() -> ModuleType:
    noisy = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:  # they warn of kernels for other machines and of torchao's own calls: nothing a user can mend
        logger.setLevel(logging.ERROR)
    try:
        return import_module("torchao.optim")
    except ImportError as error:
        raise SpecError(
            f"train.optimizer: adamw8bit needs torchao ({error}); install it with pip install 'ten[lowbit]', "
            "or set train.optimizer to adamw"
        ) from error
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
