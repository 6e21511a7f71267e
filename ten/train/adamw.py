"""AdamW with torch's own fused kernel, without torch's Optimizer class around it.

The arithmetic is torch's; a test holds the two equal to the bit.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ten.train.optimizer import StatefulOptimizer, stochastic_bf16

_STATE = ("exp_avg", "exp_avg_sq", "step")


class AdamW(StatefulOptimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019) over groups of fp32 or bf16 parameters.

    Moments and arithmetic are fp32; a bf16 parameter is rounded stochastically.
    """

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], *, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(groups, lr=lr)
        self._betas, self._eps = betas, eps

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            self._update(group, [parameter for parameter in moved if parameter.dtype != torch.bfloat16])
            for parameter in moved:  # one at a time: all of them in fp32 at once would be what bf16 is to spare
                if parameter.dtype == torch.bfloat16:
                    self._update(group, [parameter])

    def _update(self, group: Mapping[str, Any], moved: list[nn.Parameter]) -> None:
        if not moved:
            return
        means, squares, steps = ([self._of(p)[kind] for p in moved] for kind in _STATE)
        torch._foreach_add_(steps, 1)
        precise = [p.float() for p in moved]
        torch._fused_adamw_(
            precise, [p.grad.float() for p in moved if p.grad is not None], means, squares, [], steps,
            lr=group["lr"], beta1=self._betas[0], beta2=self._betas[1], weight_decay=group["weight_decay"],
            eps=self._eps, amsgrad=False, maximize=False,
        )  # fmt: skip
        for parameter, updated in zip(moved, precise, strict=True):
            if updated is not parameter:
                parameter.copy_(stochastic_bf16(updated))

    def _fresh(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        return {
            "exp_avg": torch.zeros_like(parameter, dtype=torch.float32),
            "exp_avg_sq": torch.zeros_like(parameter, dtype=torch.float32),
            "step": torch.zeros((), device=parameter.device),
        }
