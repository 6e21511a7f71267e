"""The reference backend: small cases that can be worked out by hand."""

import math

import torch

from ten.scan.reference import reference_scan


def test_an_impulse_decays_and_turns() -> None:
    inputs = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    states, final = reference_scan(
        inputs, torch.tensor([math.log(0.5)]), torch.tensor([math.pi / 2]), torch.zeros(1, 2), None
    )
    torch.testing.assert_close(states, torch.tensor([[[1.0, 0.0], [0.0, 0.5], [-0.25, 0.0]]]))
    torch.testing.assert_close(final, torch.tensor([[-0.25, 0.0]]))


def test_a_start_forgets_the_carry_but_keeps_its_own_input() -> None:
    inputs = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    states, _ = reference_scan(
        inputs, torch.zeros(1), torch.zeros(1), torch.full((1, 2), 9.0), torch.tensor([[True, False]])
    )
    torch.testing.assert_close(states, torch.tensor([[[1.0, 2.0], [4.0, 6.0]]]))


def test_second_derivatives_exist() -> None:
    phase = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    inputs = torch.ones(1, 4, 2, dtype=torch.float64)
    log_decay = torch.full((1,), -0.1, dtype=torch.float64)

    def last(phase: torch.Tensor) -> torch.Tensor:
        return reference_scan(inputs, log_decay, phase, torch.zeros(1, 2, dtype=torch.float64), None)[1]

    assert torch.autograd.gradgradcheck(last, phase)
