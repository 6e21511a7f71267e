"""Chunked cross-entropy: value and gradients of the plain one."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ten.model.loss import linear_cross_entropy

N, D, V, PADDED = 23, 6, 11, 16


def problem(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    hidden = torch.randn(N, D, dtype=dtype, requires_grad=True)
    weight = torch.randn(PADDED, D, dtype=dtype, requires_grad=True)
    return hidden, weight, torch.randint(V, (N,)), torch.rand(N, dtype=dtype)


def plain(hidden: Tensor, weight: Tensor, targets: Tensor, token_weights: Tensor | None) -> Tensor:
    losses = F.cross_entropy(hidden @ weight[:V].t(), targets, reduction="none")
    return (losses if token_weights is None else losses * token_weights).sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, N, 100, None])
def test_value_and_gradients_are_those_of_full_logits(chunk: int | None, weighted: bool) -> None:
    hidden, weight, targets, token_weights = problem()
    given = token_weights if weighted else None
    expected = plain(hidden, weight, targets, given)
    wanted = torch.autograd.grad(expected * 0.7, [hidden, weight])
    loss = linear_cross_entropy(hidden, weight, targets, vocabulary=V, token_weights=given, chunk=chunk)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss * 0.7, [hidden, weight]), wanted)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [7, None])
def test_the_z_loss_is_in_the_gradient_and_not_in_the_value(chunk: int | None, weighted: bool) -> None:
    hidden, weight, targets, token_weights = problem()
    given = token_weights if weighted else None
    scale = token_weights if weighted else torch.ones(N, dtype=torch.float64)
    value = plain(hidden, weight, targets, given)
    added = 0.3 * (torch.logsumexp(hidden @ weight[:V].t(), dim=1).square() * scale).sum()
    wanted = torch.autograd.grad((value + added) * 0.7, [hidden, weight])
    loss = linear_cross_entropy(hidden, weight, targets, vocabulary=V, token_weights=given, z_loss=0.3, chunk=chunk)
    torch.testing.assert_close(loss, value)
    torch.testing.assert_close(torch.autograd.grad(loss * 0.7, [hidden, weight]), wanted)


def test_padded_rows_get_no_gradient() -> None:
    hidden, weight, targets, _ = problem()
    linear_cross_entropy(hidden, weight, targets, vocabulary=V).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert not weight.grad[V:].any()
    assert weight.grad[:V].any(dim=1).all()


def test_without_gradients_the_value_is_the_same() -> None:
    hidden, weight, targets, _ = problem()
    with torch.no_grad():
        loss = linear_cross_entropy(hidden, weight, targets, vocabulary=V, chunk=5)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain(hidden, weight, targets, None).detach())


def test_autocast_multiplies_in_bfloat16_and_sums_in_float32() -> None:
    hidden, weight, targets, _ = problem(torch.float32)
    expected = plain(hidden, weight, targets, None)
    wanted = torch.autograd.grad(expected, [hidden, weight])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(hidden, weight, targets, vocabulary=V, chunk=5)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0.0)
    found = torch.autograd.grad(loss, [hidden, weight])
    assert [grad.dtype for grad in found] == [torch.float32, torch.float32]
    torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.05)


def test_targets_of_another_length_are_refused() -> None:
    hidden, weight, targets, _ = problem()
    with pytest.raises(ValueError, match="23 tokens"):
        linear_cross_entropy(hidden, weight, targets[:5], vocabulary=V)


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="torch has its own from 2.13 on")
def test_torchs_own_gives_the_same_in_float32() -> None:
    hidden, weight, targets, _ = problem(torch.float32)
    padding = torch.zeros(PADDED)
    padding[V:] = -torch.inf
    expected = F.linear_cross_entropy(
        hidden, weight, targets, linear_bias=padding, reduction="sum",
        options=torch.nn.LinearCrossEntropyOptions(chunking_method=None, batch_chunk_size=5),
    )  # fmt: skip
    wanted = torch.autograd.grad(expected, [hidden, weight])
    loss = linear_cross_entropy(hidden, weight, targets, vocabulary=V, chunk=7)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, [hidden, weight]), wanted)
