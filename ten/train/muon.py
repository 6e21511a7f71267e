"""Muon: momentum whose matrix is made orthogonal before it is added to the weights; the arithmetic of torch's class.

torch.optim.Muon imports torch's compiler when it is built, as every class of torch.optim does; a test holds the two
equal to the bit.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ten.train.optimizer import StatefulOptimizer, stochastic_bf16

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_LEAST_NORM = 1e-7


class Muon(StatefulOptimizer):
    """Muon (Jordan et al. 2024), Nesterov momentum and decoupled weight decay, over groups of fp32 or bf16 matrices.

    An update has the size that AdamW's has: 0.2 sqrt(longer side) times the orthogonal matrix (arXiv 2502.16982, eq.
    4), so that one learning rate suits both. Momentum is fp32; a bf16 matrix is rounded stochastically.

    Raises ValueError for a parameter that is no matrix.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(groups, lr=lr)
        self._momentum = momentum
        for parameter in self._parameters():
            if parameter.dim() != 2:
                raise ValueError(f"Muon updates matrices; a parameter has shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad.float(), group["lr"], group["weight_decay"])

    def _update(self, parameter: nn.Parameter, gradient: Tensor, rate: float, weight_decay: float) -> None:
        momentum = self._of(parameter)["momentum_buffer"]
        momentum.lerp_(gradient, 1 - self._momentum)
        direction = orthogonalised(gradient.lerp(momentum, self._momentum))
        updated = parameter.float()
        updated.mul_(1 - rate * weight_decay)
        updated.add_(direction, alpha=-rate * 0.2 * math.sqrt(max(parameter.shape)))
        if updated is not parameter:
            parameter.copy_(stochastic_bf16(updated))

    def _fresh(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        return {"momentum_buffer": torch.zeros_like(parameter, dtype=torch.float32)}


def orthogonalised(matrix: Tensor) -> Tensor:
    """Roughly U Vᵀ of matrix = U S Vᵀ, in bf16: singular values between about 0.7 and 1.2.

    Five Newton–Schulz steps of a quintic that is steepest at zero (Jordan et al. 2024), on the shorter side.
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16()
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=_LEAST_NORM)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
