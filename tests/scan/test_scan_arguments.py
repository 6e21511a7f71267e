"""The public scan's arguments: what it takes as it is, what it may be left without, what it refuses by name."""

import pytest
import torch
from torch import Tensor

from ten.scan import BACKENDS, scan

ALL = pytest.mark.parametrize("backend", ["reference", "chunked"])


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@ALL
def test_strided_arguments_and_expanded_gradients_are_taken_as_they_are(backend: str) -> None:
    inputs, log_decay, phase = random(2, 45, 6).requires_grad_(), -random(2, 45, 3).abs(), random(3)
    wide = torch.cat((inputs, inputs), -1).detach().requires_grad_()
    turned = log_decay.transpose(0, 1).contiguous().transpose(0, 1)
    states, _ = scan(inputs, log_decay, phase, backend=backend)
    states_view, _ = scan(wide[..., 6:], turned, phase, backend=backend)
    assert torch.equal(states, states_view)
    (wanted,) = torch.autograd.grad(states.sum(), inputs)
    (got,) = torch.autograd.grad(states_view.sum(), wide)
    assert torch.equal(got[..., 6:], wanted)


@ALL
def test_no_steps_return_the_carry_and_its_gradient(backend: str) -> None:
    carry = random(2, 6).requires_grad_()
    starts = torch.zeros(2, 0, dtype=torch.bool)
    states, final = scan(random(2, 0, 6), -random(2, 0, 3), random(3), carry=carry, starts=starts, backend=backend)
    assert states.shape == (2, 0, 6)
    assert torch.equal(final, carry)
    assert torch.equal(torch.autograd.grad(final.sum(), carry)[0], torch.ones(2, 6))


@ALL
def test_no_carry_means_zeros(backend: str) -> None:
    args = random(2, 40, 6), -random(2, 40, 3).abs(), random(3)
    with_zeros, _ = scan(*args, carry=torch.zeros(2, 6), backend=backend)
    without, _ = scan(*args, backend=backend)
    assert torch.equal(without, with_zeros)


@pytest.mark.parametrize("steps", [1, 40])
def test_auto_is_the_chunked_backend_at_every_length(steps: int) -> None:
    args = random(2, steps, 6), -random(2, steps, 3).abs(), random(3)
    assert torch.equal(scan(*args)[0], scan(*args, backend="chunked")[0])


def test_an_unknown_backend_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=f"'fft' is unknown; use one of {', '.join(BACKENDS)}"):
        scan(random(1, 2, 6), -random(3).abs(), random(3), backend="fft")


WRONG: list[tuple[str, Tensor, str]] = [
    ("inputs", torch.zeros(2, 6), r"inputs have shape \(2, 6\); expected \(B, T, 2K\)"),
    ("inputs", torch.zeros(2, 5, 7), r"inputs have shape \(2, 5, 7\)"),
    ("inputs", torch.zeros(2, 5, 6, dtype=torch.int64), "inputs have dtype torch.int64"),
    ("log_decay", torch.zeros(2), r"log_decay has shape \(2,\); expected \(3,\) or \(2, 5, 3\)"),
    ("log_decay", torch.zeros(3, dtype=torch.float64), "log_decay has dtype torch.float64; expected torch.float32"),
    ("phase", torch.zeros(2, 4, 3), r"phase has shape \(2, 4, 3\)"),
    ("phase", torch.zeros(3, dtype=torch.bfloat16), "phase has dtype torch.bfloat16"),
    ("phase", torch.zeros(3, device="meta"), "phase is on meta"),
    ("carry", torch.zeros(2, 3), r"carry has shape \(2, 3\); expected \(2, 6\)"),
    ("carry", torch.zeros(2, 6, dtype=torch.bfloat16), "carry has dtype torch.bfloat16"),
    ("starts", torch.zeros(5, dtype=torch.bool), r"starts has shape \(5,\); expected \(2, 5\)"),
    ("starts", torch.zeros(2, 5), "starts has dtype torch.float32; expected torch.bool"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_a_wrong_argument_is_named_with_its_shape_or_dtype(name: str, value: Tensor, message: str) -> None:
    args = {
        "inputs": torch.zeros(2, 5, 6),
        "log_decay": torch.zeros(3),
        "phase": torch.zeros(3),
        "carry": torch.zeros(2, 6),
        "starts": torch.zeros(2, 5, dtype=torch.bool),
    }
    args[name] = value
    inputs, log_decay, phase = args["inputs"], args["log_decay"], args["phase"]
    with pytest.raises(ValueError, match=message):
        scan(inputs, log_decay, phase, carry=args["carry"], starts=args["starts"])
