"""AdamW with torch's own fused kernel, without torch's Optimizer class around it.

That class imports torch's compiler when it is first built: seconds of CPU in every process that takes a step, for
nothing here. The arithmetic is torch's; a test holds the two equal to the bit.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ten.train.sharding import local

_STATE = ("exp_avg", "exp_avg_sq", "step")


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019) over groups of fp32 parameters.

    Has the part of torch's Optimizer that a step and a checkpoint need: `param_groups` (with `lr` and
    `weight_decay`), `step`, `zero_grad`, `state_dict` and `load_state_dict` in torch's layout.
    """

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], *, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": lr, **group} for group in groups]
        self._betas, self._eps = betas, eps
        self._state: dict[nn.Parameter, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not moved:
                continue
            means, squares, steps = ([local(self._of(p)[kind]) for p in moved] for kind in _STATE)
            torch._foreach_add_(steps, 1)
            weights, gradients = [local(p) for p in moved], [local(p.grad) for p in moved if p.grad is not None]
            torch._fused_adamw_(
                weights, gradients, means, squares, [], steps,
                lr=group["lr"], beta1=self._betas[0], beta2=self._betas[1], weight_decay=group["weight_decay"],
                eps=self._eps, amsgrad=False, maximize=False,
            )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Moments and step counts by the parameter's number, and the groups with numbers for parameters; not copies."""
        numbers = {parameter: number for number, parameter in enumerate(self._parameters())}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[p]: state for p, state in self._state.items()}, "param_groups": groups}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take moments and step counts from a `state_dict`, themselves and no copies; the groups stay as they are."""
        parameters = list(self._parameters())
        self._state = {
            parameters[number]: {kind: state[kind].to(parameters[number].device) for kind in _STATE}
            for number, state in tree["state"].items()
        }

    def _parameters(self) -> Iterable[nn.Parameter]:
        return (parameter for group in self.param_groups for parameter in group["params"])

    def _of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self._state:
            self._state[parameter] = {
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
                "step": torch.zeros((), device=parameter.device),
            }
        return self._state[parameter]
