"""The chunked backend: chunk lengths, spans, recursion, what it saves, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ten.scan import chunked, scan
from ten.scan.reference import reference_scan
from tests.scan.cases import assert_close, doubled, gradients, make_case

Args = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]


def make_args(steps: int, *, rows: int = 2, width: int = 3, starts: bool = True) -> Args:
    g = torch.Generator().manual_seed(steps)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=g, dtype=torch.float64)

    return (
        normal(rows, steps, 2 * width).requires_grad_(),
        (-0.2 * normal(rows, steps, width).abs()).requires_grad_(),
        normal(width).requires_grad_(),
        normal(rows, 2 * width).requires_grad_(),
        torch.rand((rows, steps), generator=g) < 0.1 if starts else None,
    )


def chunked_scan(args: Args, chunk: int | None = None) -> tuple[Tensor, Tensor]:
    result: tuple[Tensor, Tensor] = torch.ops.ten.chunked_scan(*args, chunk)
    return result


def results(args: Args, chunk: int | None) -> list[Tensor]:
    """States, final carry and the four gradients; `chunk` None is the reference."""
    states, final = reference_scan(*args) if chunk is None else chunked_scan(args, chunk)
    loss = states.square().sum() + final.square().sum()
    return [states, final, *torch.autograd.grad(loss, [arg for arg in args[:4] if arg is not None])]


def assert_same(got: list[Tensor], wanted: list[Tensor]) -> None:
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("chunk", [2, 3, 5, 8, 50, 51, 52])
def test_every_chunk_length_gives_the_same_results(chunk: int) -> None:
    args = make_args(51)
    assert_same(results(args, chunk), results(args, None))


@pytest.mark.parametrize("slab", [1, 24, 100])
def test_results_do_not_depend_on_how_time_is_cut_into_spans(slab: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "SLAB", slab)
    args = make_args(163)
    assert_same(results(args, 8), results(args, None))


def test_a_long_scan_calls_itself_for_the_chunk_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    forward = chunked._forward

    def recording(inputs: Tensor, *args: object) -> object:
        lengths.append(inputs.shape[1])
        return forward(inputs, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(chunked, "_forward", recording)
    chunked_scan(make_args(515, width=1), chunk=8)
    assert lengths == [515, 64, 8]


def test_a_million_steps_do_not_drift() -> None:
    case = make_case((1, 1 << 20, 3), decay="fixed", dtype=torch.float32)
    case = replace(case, log_decay=-1 / torch.tensor([3.0, 100.0, 8000.0]))
    found = []
    for leaves in (case.leaves(), doubled(case).leaves()):
        states, final = leaves.run("chunked")
        found.append({"states": states, "final": final, **gradients(leaves, states, final, "both")})
    for name, wanted in found[1].items():
        assert_close(name, found[0][name], wanted, 2e-3)


def test_only_the_states_are_saved_at_full_length_with_fixed_eigenvalues() -> None:
    inputs, _, phase, carry, _ = make_args(64)
    saved: list[Tensor] = []

    def pack(value: Tensor) -> Tensor:
        saved.append(value)
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        scan(inputs, -phase.abs(), phase, carry=carry, backend="chunked")
    assert [value.shape for value in saved if 64 in value.shape] == [(2, 64, 6)]


def test_a_second_derivative_is_refused_by_name() -> None:
    args = make_args(9)
    states, _ = chunked_scan(args)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(states.sum(), args[0], create_graph=True)
