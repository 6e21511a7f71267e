"""The fused backend at small sizes, under Triton's interpreter where there is no GPU: values, gradients, refusals."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ten.scan import auto, fused, scan
from ten.scan.fused import ONE_CHUNK, chunk_steps, fused_lacks
from tests.scan.cases import LEAVES, Case, assert_close, assert_matches_loop, gradients, make_case

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CHUNK = 4
TOLERANCE = 3e-6
# B, T, K: one step, less than a chunk, whole chunks, a tail of one, a ragged tail; once two blocks of eigenstates.
SHAPES = [(2, 1, 3), (3, 3, 1), (1, 8, 70), (2, 9, 4), (1, 11, 5)]


def fused_case(shape: tuple[int, int, int], **kind: object) -> Case:
    return make_case(shape, dtype=torch.float32, **kind).to(DEVICE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decay", "phase", "starts"), list(itertools.product(["fixed", "selective"], ["fixed", "selective"], [False, True]))
)
def test_states_carry_and_gradients_equal_the_complex_loop(decay: str, phase: str, starts: bool) -> None:
    case = fused_case((2, 5, 3), decay=decay, phase=phase, starts=starts)
    assert_matches_loop(case, "fused", TOLERANCE, chunk=CHUNK)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_results(shape: tuple[int, int, int]) -> None:
    assert_matches_loop(fused_case(shape, starts=True), "fused", TOLERANCE, chunk=CHUNK)


@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_every_chunk_length_gives_the_same_results(chunk: int | None) -> None:
    assert_matches_loop(fused_case((1, 7, 2), starts=True), "fused", TOLERANCE, chunk=chunk)


@pytest.mark.parametrize("through", ["states", "final"])
def test_gradients_flow_from_each_result_alone(through: str) -> None:
    assert_matches_loop(fused_case((1, 7, 3), starts=True), "fused", TOLERANCE, through, CHUNK)


@pytest.mark.parametrize(
    ("decay", "extreme"),
    [("fixed", 0.0), ("fixed", -float("inf")), *(("selective", x) for x in (0.0, -1e-7, -1e4, -float("inf")))],
)
def test_extreme_decays_give_finite_and_right_results(decay: str, extreme: float) -> None:
    case = fused_case((1, 6, 3), decay=decay)
    log_decay = case.log_decay.clone()
    log_decay[..., 1] = extreme
    assert_matches_loop(replace(case, log_decay=log_decay), "fused", TOLERANCE, chunk=CHUNK)


def test_slow_decays_are_right_to_half_a_unit_in_the_last_place() -> None:
    log_decay = -torch.logspace(-8, -0.61, 200).to(DEVICE)
    inputs = torch.zeros(1, 1, 400, device=DEVICE)
    carry = torch.cat((torch.ones(1, 200), torch.zeros(1, 200)), -1).to(DEVICE)
    _, final = scan(inputs, log_decay, torch.zeros_like(log_decay), carry=carry, backend="fused")
    error = (final[0, :200].double() - log_decay.double().exp()).abs()
    assert error.max().item() <= 0.75 * 2**-24


def test_bf16_inputs_keep_a_float32_state() -> None:
    case = fused_case((2, 9, 3), starts=True)
    case = replace(case, inputs=case.inputs.bfloat16()).leaves()
    exact = replace(case, inputs=case.inputs.float()).leaves()
    states, final = case.run("fused", CHUNK)
    states_wanted, final_wanted = exact.run("reference")
    assert (states.dtype, final.dtype) == (torch.bfloat16, torch.float32)
    assert_close("states", states, states_wanted, 2**-8)
    assert_close("final", final, final_wanted, TOLERANCE)
    wanted = gradients(exact, states_wanted, final_wanted, "both")
    for name, got in gradients(case, states, final, "both").items():
        assert got.dtype == getattr(case, name).dtype
        assert_close(f"d {name}", got, wanted[name], 2e-2)


def test_fast_decays_keep_their_gradient_under_bf16_states() -> None:
    case = fused_case((1, 9, 3))
    case = replace(case, inputs=case.inputs.bfloat16(), log_decay=case.log_decay.clamp_max(-0.1) * 100).leaves()
    wanted = gradients(case, *replace(case, inputs=case.inputs.float()).run("reference"), "states")["log_decay"]
    got = gradients(case, *case.run("fused", CHUNK), "states")["log_decay"]
    torch.testing.assert_close(got, wanted, rtol=2e-2, atol=0)


@pytest.mark.parametrize("step", [0, 3, 4])
def test_no_state_depends_on_a_later_step(step: int) -> None:
    case = fused_case((1, 9, 2))
    inputs, log_decay = case.inputs.clone(), case.log_decay.clone()
    inputs[:, step] += 100.0
    log_decay[:, step] -= 1.0
    before, _ = case.run("fused", CHUNK)
    after, _ = replace(case, inputs=inputs, log_decay=log_decay).run("fused", CHUNK)
    assert torch.equal(before[:, :step], after[:, :step])
    assert not torch.equal(before[:, step], after[:, step])


@pytest.mark.parametrize("split", [4, 6])
def test_two_halves_with_the_carry_equal_the_whole(split: int) -> None:
    case, cut = (fused_case((1, 9, 2), starts=True).leaves() for _ in range(2))
    left, carry = cut.span(0, split, cut.carry).run("fused", CHUNK)
    right, last = cut.span(split, 9, carry).run("fused", CHUNK)
    whole, final = case.run("fused", CHUNK)
    halves = torch.cat((left, right), 1)
    assert_close("states", halves, whole, TOLERANCE)
    assert_close("final", last, final, TOLERANCE)
    wanted = gradients(case, whole, final, "both")
    for name, got in gradients(cut, halves, last, "both").items():
        assert_close(f"d {name}", got, wanted[name], TOLERANCE)


def test_a_start_gives_each_document_a_scan_of_its_own() -> None:
    bounds = [0, 3, 4, 5, 10]
    starts = torch.zeros(1, 10, dtype=torch.bool, device=DEVICE)
    starts[:, bounds[:-1]] = True
    case = replace(fused_case((1, 10, 2)), starts=starts)
    packed, final = case.run("fused", CHUNK)
    lone = replace(case, starts=None)
    alone = [lone.span(a, b, torch.zeros_like(case.carry)).run("fused", CHUNK) for a, b in itertools.pairwise(bounds)]
    assert_close("states", packed, torch.cat([states for states, _ in alone], 1), TOLERANCE)
    assert_close("final", final, alone[-1][1], TOLERANCE)


def test_nothing_flows_back_across_a_start() -> None:
    starts = torch.zeros(1, 9, dtype=torch.bool, device=DEVICE)
    starts[:, 6] = True
    case = replace(fused_case((1, 9, 2)), starts=starts).leaves()
    states, _ = case.run("fused", CHUNK)
    d_inputs, d_log_decay, d_carry = torch.autograd.grad(states[:, 6:].sum(), (case.inputs, case.log_decay, case.carry))
    assert not d_inputs[:, :6].any()
    assert not d_log_decay[:, :7].any()
    assert not d_carry.any()


def everything(case: Case) -> list[Tensor]:
    case = case.leaves()
    states, final = case.run("fused", CHUNK)
    return [states, final, *gradients(case, states, final, "both").values()]


@pytest.mark.parametrize("decay", ["fixed", "selective"])
def test_two_runs_and_narrow_blocks_give_the_same_bits(decay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = fused_case((1, 6, 3), decay=decay)
    first, second = everything(case), everything(case)
    monkeypatch.setattr(fused, "_BLOCK", 2)
    for one, again, narrow in zip(first, second, everything(case), strict=True):
        assert torch.equal(one, again)
        assert torch.equal(one, narrow)


def test_strided_arguments_and_expanded_gradients_are_taken_as_they_are() -> None:
    case = fused_case((2, 6, 3), starts=True)
    assert case.starts is not None
    plain = case.leaves()
    strided = Case(
        inputs=torch.cat((case.inputs, case.inputs), -1)[..., 6:],
        log_decay=case.log_decay.transpose(0, 1).contiguous().transpose(0, 1),
        phase=case.phase.repeat_interleave(2)[::2],
        carry=case.carry.T.contiguous().T,
        starts=case.starts.T.contiguous().T,
    )
    for name in LEAVES:
        getattr(strided, name).requires_grad_()
    ours, theirs = strided.run("fused", CHUNK), plain.run("fused", CHUNK)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    got, wanted = (
        torch.autograd.grad(states.sum() + final.sum(), [getattr(case, name) for name in LEAVES])
        for case, (states, final) in ((strided, ours), (plain, theirs))
    )
    assert all(torch.equal(one, other) for one, other in zip(got, wanted, strict=True))


def test_no_steps_return_the_carry_and_its_gradient() -> None:
    case = fused_case((2, 4, 3), starts=True).leaves()
    empty = case.span(0, 0, case.carry)
    states, final = empty.run("fused")
    assert states.shape == (2, 0, 6)
    assert torch.equal(final, case.carry)
    d_carry, d_phase = torch.autograd.grad(final.sum(), (case.carry, case.phase))
    assert torch.equal(d_carry, torch.ones_like(d_carry))
    assert not d_phase.any()


@settings(max_examples=5, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 11), st.integers(1, 5)),
    decay=st.sampled_from(["fixed", "selective"]),
    phase=st.sampled_from(["fixed", "selective"]),
    starts=st.booleans(),
    chunk=st.integers(2, 12),
    seed=st.integers(0, 2**16),
)
def test_any_shape_and_chunk_agree_with_the_definition(
    shape: tuple[int, int, int], decay: str, phase: str, starts: bool, chunk: int, seed: int
) -> None:
    case = fused_case(shape, decay=decay, phase=phase, starts=starts, seed=seed)
    assert_matches_loop(case, "fused", TOLERANCE, chunk=chunk)


@given(steps=st.integers(1, 2**24))
def test_chunks_grow_with_the_root_of_time(steps: int) -> None:
    chunk = chunk_steps(steps)
    if steps <= ONE_CHUNK:
        assert chunk == steps
    else:
        assert 16 <= chunk <= max(16, math.isqrt(steps))
        assert steps <= 8 * chunk**2


def test_a_second_derivative_is_refused_by_name() -> None:
    case = fused_case((1, 2, 2)).leaves()
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(case.run("fused")[0].sum(), case.inputs, create_graph=True)


@pytest.mark.parametrize(
    ("capability", "cuda", "packages", "compilers", "lacks"),
    [
        ((8, 0), "13.0", True, True, None),
        ((12, 0), "13.0", True, True, None),
        ((7, 5), "13.0", True, True, "compute capability 8.0"),
        ((9, 4), None, True, True, "a CUDA device"),  # a ROCm build calls its devices cuda
        ((9, 0), "13.0", False, True, "triton"),
        ((9, 0), "13.0", True, False, "a C compiler"),
    ],
)
def test_what_auto_lacks_for_the_fused_scan_is_named_once(
    capability: tuple[int, int],
    cuda: str | None,
    packages: bool,
    compilers: bool,
    lacks: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(fused, "find_spec", lambda name: object() if packages else None)
    monkeypatch.setattr(fused, "which", lambda name: name if compilers else None)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(auto, "fused_lacks", fused_lacks.__wrapped__)
    assert auto._fused_runs_on.__wrapped__(torch.device("cuda", 0)) is (lacks is None)
    assert [lacks in record.getMessage() for record in caplog.records if lacks] == [True] * (lacks is not None)
    assert fused_lacks.__wrapped__(torch.device("cpu")) == "a CUDA device"


def test_float64_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="float32: use backend 'chunked' for float64"):
        make_case((1, 2, 2)).to(DEVICE).run("fused")


def test_a_device_without_the_kernels_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from ten.scan import kernels

    monkeypatch.setattr(kernels, "INTERPRETED", False)
    with pytest.raises(ValueError, match="cannot run on cpu: it lacks a CUDA device; use backend 'chunked' or 'auto'"):
        make_case((1, 2, 2), dtype=torch.float32).run("fused")
