"""What every optimizer here has: parameter groups, a state a parameter, and both as a checkpoint wants them.

torch's Optimizer class imports torch's compiler when it is first built: seconds of CPU in every process that takes a
step, for nothing here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Optimizer(Protocol):
    """The part of torch's Optimizer that a step and a checkpoint need."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups with `params`, `weight_decay` and `lr`; every step sets the last."""

    def prepare(self) -> None:
        """Make what an update keeps now, so that a lack of memory shows before the first step and not within it."""

    def zero_grad(self) -> None:
        """Forget all gradients."""

    def step(self) -> None:
        """Update every parameter that has a gradient."""

    def state_dict(self) -> dict[str, Any]:
        """States by the parameter's number, and the groups with numbers for parameters; not copies."""

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take the states from a `state_dict`; the groups stay as they are."""


def parameters_of(groups: Iterable[Mapping[str, Any]]) -> Iterator[nn.Parameter]:
    """The parameters of some groups, in the order that numbers them."""
    return (parameter for group in groups for parameter in group["params"])


def numbered(
    groups: Sequence[Mapping[str, Any]], states: Mapping[nn.Parameter, Mapping[str, Tensor]]
) -> dict[str, Any]:
    """A `state_dict`: states by the parameter's number, and the groups with numbers for parameters; not copies."""
    numbers = {parameter: number for number, parameter in enumerate(parameters_of(groups))}
    plain = [{**group, "params": [numbers[p] for p in group["params"]]} for group in groups]
    return {"state": {numbers[p]: state for p, state in states.items()}, "param_groups": plain}


class StatefulOptimizer:
    """Groups, and tensors that belong to each parameter; what an update does with them is the subclass's."""

    def __init__(self, groups: Iterable[Mapping[str, Any]], *, lr: float) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": lr, **group} for group in groups]
        self._state: dict[nn.Parameter, dict[str, Tensor]] = {}

    def prepare(self) -> None:
        """Make every state that is not there yet."""
        for parameter in self._parameters():
            self._of(parameter)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """States by the parameter's number, and the groups with numbers for parameters; not copies."""
        return numbered(self.param_groups, self._state)

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take the states from a `state_dict`, themselves and no copies; the groups stay as they are."""
        parameters = list(self._parameters())
        self._state = {
            parameters[number]: {kind: own.to(parameters[number].device) for kind, own in state.items()}
            for number, state in tree["state"].items()
        }

    def _parameters(self) -> Iterable[nn.Parameter]:
        return parameters_of(self.param_groups)

    def _of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self._state:
            self._state[parameter] = self._fresh(parameter)
        return self._state[parameter]

    def _fresh(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        raise NotImplementedError


class Joined:
    """Several optimizers as one: each updates parameters of its own, and they are numbered one after another."""

    def __init__(self, *parts: Optimizer) -> None:
        self._parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts."""
        return [group for part in self._parts for group in part.param_groups]

    def prepare(self) -> None:
        """Let every part make its states."""
        for part in self._parts:
            part.prepare()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self._parts:
            part.zero_grad()

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """As of one optimizer with the groups of all parts."""
        state: dict[int, dict[str, Tensor]] = {}
        groups: list[dict[str, Any]] = []
        for first, part in self._numbered():
            tree = part.state_dict()
            state |= {first + number: own for number, own in tree["state"].items()}
            groups += [{**group, "params": [first + n for n in group["params"]]} for group in tree["param_groups"]]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Give every part its states from a `state_dict` of all."""
        for first, part in self._numbered():
            numbers = range(first, first + _size(part))
            own = {number - first: state for number, state in tree["state"].items() if number in numbers}
            part.load_state_dict({"state": own, "param_groups": part.param_groups})

    def _numbered(self) -> Iterable[tuple[int, Optimizer]]:
        """Every part with the number of its first parameter."""
        first = 0
        for part in self._parts:
            yield first, part
            first += _size(part)


def stochastic_bf16(values: Tensor) -> Tensor:
    """fp32 values in bf16, each rounded to one of its two neighbours, the nearer the likelier: right in the mean.

    So an update far below the spacing of bf16 is not lost but made now and then. The draws are of the device's global
    generator, which a checkpoint keeps.
    """
    draws = torch.randint(0, 1 << 16, values.shape, device=values.device, dtype=torch.int32)
    bits = values.contiguous().view(torch.int32)
    kept = torch.where(draws < bits.bitwise_and(0xFFFF), bits + 0x10000, bits)
    return kept.bitwise_and_(-0x10000).view(torch.float32).to(torch.bfloat16)


def _size(part: Optimizer) -> int:
    return sum(len(group["params"]) for group in part.param_groups)
