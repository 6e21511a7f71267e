"""The public scan: both backends against a complex128 loop, in values and every gradient, ordinary and extreme."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.scan.cases import LEAVES, assert_close, assert_matches_loop, gradients, make_case

ALL = pytest.mark.parametrize("backend", ["reference", "chunked"])
# B, T, K pairwise different: T = 1, below a chunk, on its edge, one past it, ragged, and a tail of one.
SHAPES = [(2, 1, 3), (3, 7, 2), (2, 32, 5), (2, 33, 3), (1, 75, 4), (3, 129, 2)]


@ALL
@pytest.mark.parametrize("starts", [False, True], ids=["one_document", "starts"])
@pytest.mark.parametrize("phase", ["fixed", "selective"])
@pytest.mark.parametrize("decay", ["fixed", "selective"])
def test_states_carry_and_gradients_equal_the_complex_loop(backend: str, decay: str, phase: str, starts: bool) -> None:
    for seed, shape in enumerate(SHAPES):
        case = make_case(shape, decay=decay, phase=phase, starts=starts, seed=seed)
        assert_matches_loop(case, backend, 1e-12)


@ALL
@pytest.mark.parametrize("through", ["states", "final"])
def test_gradients_flow_from_each_result_alone(backend: str, through: str) -> None:
    assert_matches_loop(make_case((2, 71, 3), starts=True), backend, 1e-12, through)


@ALL
@pytest.mark.parametrize(("decay", "phase"), list(itertools.product(["fixed", "selective"], repeat=2)))
def test_float32_stays_accurate_over_two_levels_of_chunks(backend: str, decay: str, phase: str) -> None:
    case = make_case((2, 1300, 3), decay=decay, phase=phase, dtype=torch.float32)
    slow = replace(case, log_decay=case.log_decay * 1e-2)
    assert_matches_loop(slow, backend, 1e-4)


@ALL
def test_gradcheck_agrees_with_finite_differences(backend: str) -> None:
    case = make_case((2, 35, 2), starts=True).leaves()

    def results(inputs: Tensor, log_decay: Tensor, phase: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        return replace(case, inputs=inputs, log_decay=log_decay, phase=phase, carry=carry).run(backend)

    assert torch.autograd.gradcheck(results, [getattr(case, name) for name in LEAVES], fast_mode=True)


@ALL
@pytest.mark.parametrize("decay", ["fixed", "selective"])
@pytest.mark.parametrize("extreme", [0.0, -1e-7, -1e4, -float("inf")])
def test_extreme_decays_give_finite_and_right_results(backend: str, decay: str, extreme: float) -> None:
    case = make_case((2, 71, 3), decay=decay, dtype=torch.float32)
    log_decay = case.log_decay.clone()
    log_decay[..., 1] = extreme
    assert_matches_loop(replace(case, log_decay=log_decay), backend, 1e-5)


@ALL
def test_decays_that_swing_between_extremes_stay_right(backend: str) -> None:
    case = make_case((2, 200, 3), dtype=torch.float32)
    log_decay = torch.where(case.log_decay < -0.4, torch.tensor(-1e4), torch.tensor(-1e-6))
    assert_matches_loop(replace(case, log_decay=log_decay), backend, 1e-5)


@ALL
def test_bf16_inputs_keep_a_float32_state(backend: str) -> None:
    case = make_case((2, 75, 3), dtype=torch.float32, starts=True)
    case = replace(case, inputs=case.inputs.bfloat16()).leaves()
    exact = replace(case, inputs=case.inputs.float()).leaves()
    states, final = case.run(backend)
    states_wanted, final_wanted = exact.run("reference")
    assert (states.dtype, final.dtype) == (torch.bfloat16, torch.float32)
    assert_close("states", states, states_wanted, 2**-8)
    assert_close("final", final, final_wanted, 1e-6)
    wanted = gradients(exact, states_wanted, final_wanted, "both")
    for name, got in gradients(case, states, final, "both").items():
        assert got.dtype == getattr(case, name).dtype
        assert_close(f"d {name}", got, wanted[name], 2e-2)


@ALL
def test_autocast_changes_neither_values_nor_dtypes(backend: str) -> None:
    case = make_case((2, 40, 3), dtype=torch.float32).leaves()
    states, final = case.run(backend)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states_cast, final_cast = case.run(backend)
    assert torch.equal(states, states_cast)
    assert torch.equal(final, final_cast)
