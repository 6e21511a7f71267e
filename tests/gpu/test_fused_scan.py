"""The fused scan on a CUDA device: the claims of tests/scan/test_fused.py at real sizes, and some of its own."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ten.scan import fused, scan
from ten.scan.fused import fused_lacks
from tests.scan.cases import LEAVES, Case, assert_close, doubled, gradients, make_case

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or fused_lacks(torch.device("cuda", torch.cuda.current_device())) is not None,
        reason="needs a CUDA device of compute capability 8.0, triton and a C compiler",
    ),
]
# A rounded eigenvalue shifts a state by half a unit in the last place for each step that it remembers.
LONGEST_MEMORY = 1000
TOLERANCE = 1e-4
# B, T, K: one step, an edge of 64, one past it, ragged, many rows, many chunks.
SHAPES = [(3, 1, 40), (2, 64, 160), (2, 65, 33), (5, 1000, 288), (300, 129, 64), (1, 32768 + 7, 64)]


def device_case(shape: tuple[int, int, int], **kind: Any) -> Case:
    case = make_case(shape, dtype=torch.float32, **kind)
    return replace(case, log_decay=0.1 * case.log_decay - 1 / LONGEST_MEMORY).to("cuda")


def everything(case: Case, backend: str, chunk: int | None = None) -> dict[str, Tensor]:
    """States, final carry and gradients by name."""
    case = case.leaves()
    states, final = case.run(backend, chunk)
    return {"states": states, "final": final, **gradients(case, states, final, "both")}


def assert_matches_fp64(case: Case, *, tolerance: float = TOLERANCE, chunk: int | None = None) -> None:
    wanted = everything(doubled(case), "chunked")
    for name, got in everything(case, "fused", chunk).items():
        assert_close(name, got, wanted[name], tolerance)


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(params=[16, 32, 64, 128])
def block(request: pytest.FixtureRequest) -> Iterator[int]:
    """Eigenstates of a program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "_BLOCK", request.param)
        yield request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("decay", "phase"), list(itertools.product(["fixed", "selective"], repeat=2)))
def test_states_carry_and_gradients_equal_fp64(shape: tuple[int, int, int], decay: str, phase: str) -> None:
    assert_matches_fp64(device_case(shape, decay=decay, phase=phase))


@pytest.mark.parametrize("decay", ["fixed", "selective"])
def test_starts_cut_states_and_gradients(decay: str) -> None:
    assert_matches_fp64(device_case((3, 5000, 96), decay=decay, starts=True))


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000, 4096])
def test_every_chunk_length_gives_the_same_results(chunk: int) -> None:
    assert_matches_fp64(device_case((2, 3001, 64), starts=True), chunk=chunk)


def test_every_block_width_gives_the_same_bits(block: int) -> None:
    case = device_case((2, 3001, 200), starts=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "_BLOCK", 256)
        wanted = everything(case, "fused")
    assert same_bits(everything(case, "fused"), wanted), f"blocks of {block}"


@pytest.mark.parametrize("decay", ["fixed", "selective"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_runs_give_the_same_bits_while_others_keep_the_device_busy(decay: str, dtype: torch.dtype) -> None:
    case = device_case((4, 8192, 256), decay=decay, starts=True)
    case = replace(case, inputs=case.inputs.to(dtype))
    wanted = everything(case, "fused")
    noise, side = torch.randn(4096, 4096, device="cuda"), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    for _ in range(5):
        with torch.cuda.stream(side):
            noise = (noise @ noise).clamp(-1, 1)
        assert same_bits(everything(case, "fused"), wanted)


@pytest.mark.parametrize("decay", ["fixed", "selective"])
@pytest.mark.parametrize("extreme", [0.0, -1e-7, -1e4, -float("inf")])
def test_extreme_decays_give_finite_and_right_results(decay: str, extreme: float) -> None:
    case = device_case((2, 1000, 48), decay=decay)
    log_decay = case.log_decay.clone()
    log_decay[..., 1] = extreme
    assert_matches_fp64(replace(case, log_decay=log_decay))


def test_slow_decays_are_right_to_half_a_unit_in_the_last_place() -> None:
    log_decay = -torch.logspace(-8, -0.61, 4000, device="cuda")
    carry = torch.cat((torch.ones_like(log_decay), torch.zeros_like(log_decay)))[None]
    inputs = torch.zeros(1, 1, 8000, device="cuda")
    _, final = scan(inputs, log_decay, torch.zeros_like(log_decay), carry=carry, backend="fused")
    error = (final[0, :4000].double() - log_decay.double().exp()).abs()
    assert error.max().item() <= 0.75 * 2**-24


def test_large_phases_are_reduced_exactly() -> None:
    case = device_case((1, 300, 32))
    assert_matches_fp64(replace(case, phase=1000 * case.phase))


def test_bf16_inputs_keep_a_float32_state() -> None:
    case = device_case((4, 4096, 160), starts=True)
    case = replace(case, inputs=case.inputs.bfloat16())
    wanted = everything(doubled(case), "chunked")
    got = everything(case, "fused")
    assert got["states"].dtype == got["inputs"].dtype == torch.bfloat16
    assert_close("states", got["states"], wanted["states"], 2**-8)
    assert_close("final", got["final"], wanted["final"], TOLERANCE)
    for name in LEAVES:
        assert_close(f"d {name}", got[name], wanted[name], 2e-2)


@pytest.mark.parametrize("step", [0, 63, 64, 4000])
def test_no_state_depends_on_a_later_step(step: int) -> None:
    case = device_case((2, 5000, 64))
    inputs = case.inputs.clone()
    inputs[:, step] += 100.0
    before, _ = case.run("fused")
    after, _ = replace(case, inputs=inputs).run("fused")
    assert torch.equal(before[:, :step], after[:, :step])
    assert not torch.equal(before[:, step], after[:, step])


@pytest.mark.parametrize("split", [1, 64, 2500])
def test_two_halves_with_the_carry_equal_the_whole(split: int) -> None:
    case, cut = (device_case((2, 5000, 64), starts=True).leaves() for _ in range(2))
    left, carry = cut.span(0, split, cut.carry).run("fused")
    right, last = cut.span(split, 5000, carry).run("fused")
    whole, final = case.run("fused")
    halves = torch.cat((left, right), 1)
    assert_close("states", halves, whole, TOLERANCE)
    assert_close("final", last, final, TOLERANCE)
    wanted = gradients(case, whole, final, "both")
    for name, got in gradients(cut, halves, last, "both").items():
        assert_close(f"d {name}", got, wanted[name], TOLERANCE)


def test_a_million_steps_do_not_drift() -> None:
    case = device_case((1, 1 << 20, 8), decay="fixed")
    memories = torch.logspace(0.5, 3.9, 8, device="cuda")
    assert_matches_fp64(replace(case, log_decay=-1 / memories), tolerance=2e-3)


def test_offsets_beyond_two_to_the_31_are_right() -> None:
    rows, steps, width = 3, 1 << 20, 512
    if torch.cuda.mem_get_info()[0] < 40 << 30:
        pytest.skip("needs 40 GiB of free device memory")
    inputs = torch.zeros(rows, steps, 2 * width, dtype=torch.bfloat16, device="cuda")
    inputs[:, -3:] = 1.0
    log_decay, phase = torch.full((width,), -0.5, device="cuda"), torch.zeros(width, device="cuda")
    states, final = scan(inputs, log_decay, phase, backend="fused")
    short, wanted = scan(inputs[:, -3:], log_decay, phase, backend="fused")
    assert not states[:, :-3].any()
    assert torch.equal(states[:, -3:], short)
    torch.testing.assert_close(final, wanted)


def test_auto_takes_the_fused_backend_for_what_it_can_run() -> None:
    case = device_case((2, 70, 16))
    assert torch.equal(case.run("auto")[0], case.run("fused")[0])
    assert torch.equal(doubled(case).run("auto")[0], doubled(case).run("chunked")[0])


def test_a_compiled_function_has_one_graph_and_nearly_the_same_results() -> None:
    def run(case: Case) -> tuple[Tensor, Tensor]:
        return scan(case.inputs * 2, case.log_decay, case.phase, carry=case.carry, starts=case.starts)

    torch.compiler.reset()
    compiled = torch.compile(run, fullgraph=True)
    for steps in (500, 700):
        case = device_case((2, steps, 64), starts=True).leaves()
        eager, traced = run(case), compiled(case)
        for name, got, value in zip(("states", "final"), traced, eager, strict=True):
            assert_close(name, got, value, TOLERANCE)
        wanted = gradients(case, *eager, "both")
        for name, got in gradients(case, *traced, "both").items():
            assert_close(f"d {name}", got, wanted[name], TOLERANCE)


def test_a_row_has_the_same_bits_alone_and_in_a_batch() -> None:
    case = device_case((5, 3001, 96), starts=True)
    assert case.starts is not None
    alone = Case(case.inputs[3:4], case.log_decay[3:4], case.phase, case.carry[3:4], case.starts[3:4])
    for packed, single in zip(case.run("fused"), alone.run("fused"), strict=True):
        assert torch.equal(packed[3:4], single)


def test_a_cuda_graph_replays_the_scan() -> None:
    case = device_case((2, 1, 64))
    case.run("fused")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        states, _ = case.run("fused")
    case.inputs.mul_(2)
    graph.replay()
    assert torch.equal(states, case.run("fused")[0])


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two devices")
def test_a_scan_runs_on_the_device_of_its_arguments() -> None:
    case = make_case((2, 200, 16), dtype=torch.float32)
    wanted, _ = case.to("cuda:0").run("fused")
    got, _ = case.to("cuda:1").run("fused")
    assert torch.equal(got.cpu(), wanted.cpu())
