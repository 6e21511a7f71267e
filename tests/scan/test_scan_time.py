"""The public scan along time: causal, the same wherever it is split, and cut where a document starts."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.scan.cases import Case, assert_close, gradients, make_case

ALL = pytest.mark.parametrize("backend", ["reference", "chunked"])


def leaves(shape: tuple[int, int, int], **kind: Any) -> Case:
    return make_case(shape, **kind).leaves()


def assert_same(name: str, got: Tensor, wanted: Tensor) -> None:
    assert_close(name, got, wanted, 1e-12)


@ALL
@pytest.mark.parametrize("step", [0, 31, 32, 50, 69])
def test_no_state_depends_on_a_later_step(backend: str, step: int) -> None:
    case = leaves((2, 70, 3))
    inputs, log_decay = case.inputs.detach().clone(), case.log_decay.detach().clone()
    inputs[:, step] += 100.0
    log_decay[:, step] -= 1.0
    before, _ = case.run(backend)
    after, _ = replace(case, inputs=inputs, log_decay=log_decay).run(backend)
    assert torch.equal(before[:, :step], after[:, :step])
    assert not torch.equal(before[:, step], after[:, step])


@ALL
def test_two_halves_with_the_carry_equal_the_whole_at_every_split(backend: str) -> None:
    case = leaves((2, 67, 3), starts=True)
    whole, final = case.run(backend)
    for split in range(68):
        left, carry = case.span(0, split, case.carry).run(backend)
        right, last = case.span(split, 67, carry).run(backend)
        assert_same(f"states split at {split}", torch.cat((left, right), 1), whole)
        assert_same(f"final split at {split}", last, final)


@ALL
@pytest.mark.parametrize("split", [1, 32, 40])
def test_gradients_of_two_halves_equal_those_of_the_whole(backend: str, split: int) -> None:
    case, cut = leaves((2, 67, 3)), leaves((2, 67, 3))
    wanted = gradients(case, *case.run(backend), "both")
    left, carry = cut.span(0, split, cut.carry).run(backend)
    right, final = cut.span(split, 67, carry).run(backend)
    for name, got in gradients(cut, torch.cat((left, right), 1), final, "both").items():
        assert_same(f"d {name}", got, wanted[name])


@ALL
@pytest.mark.parametrize("decay", ["fixed", "selective"])
def test_a_start_gives_each_document_a_scan_of_its_own(backend: str, decay: str) -> None:
    bounds = [0, 5, 32, 33, 70]
    starts = torch.zeros(1, 70, dtype=torch.bool)
    starts[:, bounds[:-1]] = True
    case = replace(leaves((1, 70, 3), decay=decay), starts=starts)
    packed, final = case.run(backend)
    lone = replace(case, starts=None)
    alone = [lone.span(a, b, torch.zeros_like(case.carry)).run(backend) for a, b in itertools.pairwise(bounds)]
    assert_same("states", packed, torch.cat([states for states, _ in alone], 1))
    assert_same("final", final, alone[-1][1])


@ALL
def test_nothing_flows_back_across_a_start(backend: str) -> None:
    starts = torch.zeros(2, 50, dtype=torch.bool)
    starts[:, 40] = True
    case = replace(leaves((2, 50, 3)), starts=starts)
    states, _ = case.run(backend)
    d_inputs, d_log_decay, d_carry = torch.autograd.grad(
        states[:, 40:].sum(), (case.inputs, case.log_decay, case.carry)
    )
    assert not d_inputs[:, :40].any()
    assert not d_log_decay[:, :41].any()
    assert not d_carry.any()


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 100), st.integers(1, 4)),
    decay=st.sampled_from(["fixed", "selective"]),
    phase=st.sampled_from(["fixed", "selective"]),
    starts=st.booleans(),
    where=st.floats(0, 1),
    seed=st.integers(0, 2**16),
)
def test_any_shape_and_split_agree_with_the_definition(
    shape: tuple[int, int, int], decay: str, phase: str, starts: bool, where: float, seed: int
) -> None:
    case = leaves(shape, decay=decay, phase=phase, starts=starts, seed=seed)
    split = round(where * shape[1])
    wanted, final_wanted = case.run("reference")
    left, carry = case.span(0, split, case.carry).run("chunked")
    right, final = case.span(split, shape[1], carry).run("chunked")
    assert_same("states", torch.cat((left, right), 1), wanted)
    assert_same("final", final, final_wanted)
