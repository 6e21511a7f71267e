"""The language model: causality, documents, carries, gradients, and what no weight decay touches."""

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ten.model.lm import Carry, LanguageModel, Recompute
from ten.model.presets import ModelConfig
from ten.train.optim import narrow_weights
from ten.train.settings import TrainSettings

B, T, VOCABULARY = 3, 17, 37
Build = Callable[[ModelConfig], LanguageModel]


def tokens_and_starts(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (B, T), generator=generator)
    return tokens, torch.rand(B, T, generator=generator) < 0.15


def in_parts(model: LanguageModel, tokens: Tensor, starts: Tensor, cuts: list[int]) -> tuple[Tensor, Carry | None]:
    carry: Carry | None = None
    hidden = []
    for begin, end in itertools.pairwise([0, *cuts, tokens.shape[1]]):
        part, carry = model(tokens[:, begin:end], starts[:, begin:end], carry)
        hidden.append(part)
    return torch.cat(hidden, dim=1), carry


def assert_same_carry(found: Carry | None, wanted: Carry) -> None:
    assert found is not None
    torch.testing.assert_close(found.layers, wanted.layers)
    torch.testing.assert_close(found.position, wanted.position)


def test_a_token_changes_nothing_before_it(model: LanguageModel) -> None:
    tokens, starts = tokens_and_starts()
    before, _ = model(tokens, starts)
    for t in (1, 8, T - 1):
        changed = tokens.clone()
        changed[:, t] = (changed[:, t] + 1) % VOCABULARY
        after, _ = model(changed, starts)
        assert torch.equal(after[:, :t], before[:, :t])
        assert not torch.equal(after[:, t], before[:, t])


def test_packed_documents_are_as_documents_alone(model: LanguageModel) -> None:
    tokens, _ = tokens_and_starts()
    starts = torch.zeros(B, T, dtype=torch.bool)
    edges = [0, 1, 6, 8, T]
    starts[:, edges[1:-1]] = True
    packed, _ = model(tokens, starts)
    alone = [model(tokens[:, a:b])[0] for a, b in itertools.pairwise(edges)]
    torch.testing.assert_close(packed, torch.cat(alone, dim=1))


@pytest.mark.parametrize("cuts", [[1], [9], [2, 3, 11], [T - 1]])
def test_any_split_gives_the_whole(model: LanguageModel, cuts: list[int]) -> None:
    tokens, starts = tokens_and_starts()
    whole, last = model(tokens, starts)
    hidden, carry = in_parts(model, tokens, starts, cuts)
    torch.testing.assert_close(hidden, whole)
    assert_same_carry(carry, last)


def test_token_by_token_gives_the_whole(model: LanguageModel) -> None:
    tokens, starts = tokens_and_starts(3)
    whole, last = model(tokens, starts)
    hidden, carry = in_parts(model, tokens, starts, list(range(1, T)))
    torch.testing.assert_close(hidden, whole)
    assert_same_carry(carry, last)


def test_a_carried_call_without_starts_goes_on(model: LanguageModel) -> None:
    tokens, _ = tokens_and_starts()
    whole, _ = model(tokens)
    first, carry = model(tokens[:, :5])
    second, _ = model(tokens[:, 5:], None, carry)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)


def test_gradients_cross_a_split_and_stop_at_detach(model: LanguageModel) -> None:
    tokens, starts = tokens_and_starts()
    starts[:] = False
    weight = model.embedding.weight

    def grad(detach: bool) -> Tensor:
        _, carry = model(tokens[:, :9], starts[:, :9])
        hidden, _ = model(tokens[:, 9:], starts[:, 9:], carry.detach() if detach else carry)
        return torch.autograd.grad(hidden.square().sum(), weight)[0]

    whole, _ = model(tokens, starts)
    wanted = torch.autograd.grad(whole[:, 9:].square().sum(), weight)[0]
    torch.testing.assert_close(grad(detach=False), wanted)
    assert not torch.allclose(grad(detach=True), wanted)


def test_the_gradient_reaches_every_parameter(model: LanguageModel) -> None:
    tokens, starts = tokens_and_starts()
    model.loss(tokens, starts[:, :-1]).backward()  # type: ignore[no-untyped-call]
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_the_loss_is_that_of_full_logits(model: LanguageModel) -> None:
    tokens, starts = tokens_and_starts()
    weights = torch.rand(B, T - 1, dtype=torch.float64)
    hidden, _ = model(tokens[:, :-1], starts[:, :-1])
    logits = hidden @ model.embedding.weight[:VOCABULARY].t()
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(B, T - 1)
    torch.testing.assert_close(model.loss(tokens, starts[:, :-1]), losses.sum())
    torch.testing.assert_close(model.loss(tokens, starts[:, :-1], weights), (losses * weights).sum())


def test_the_z_loss_changes_gradients_and_no_loss(configs: dict[str, ModelConfig], build: Build) -> None:
    tokens, starts = tokens_and_starts()
    model = build(configs["ten"])
    weight = model.embedding.weight
    found = []
    for z_loss in (0.0, 1e-2):
        model.z_loss = z_loss
        loss = model.loss(tokens, starts[:, :-1])
        found.append((loss.item(), torch.autograd.grad(loss, weight)[0]))
    assert found[0][0] == found[1][0]
    assert not torch.allclose(found[0][1], found[1][1])


def test_hidden_matrices_in_bf16_leave_stream_and_carry_in_float32(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = LanguageModel(config, VOCABULARY)
    narrow_weights(model, TrainSettings(weights="bf16"), model.no_decay_names())
    tokens, starts = tokens_and_starts()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden, carry = model(tokens, starts)
        loss = model.loss(tokens, starts[:, :-1])
    loss.backward()  # type: ignore[no-untyped-call]
    assert hidden.dtype == torch.float32
    assert {tensor.dtype for layer in carry.layers for tensor in layer} == {torch.float32}
    for name, parameter in model.named_parameters():
        wanted = torch.float32 if name in model.no_decay_names() else torch.bfloat16
        assert parameter.dtype == wanted, name
        assert parameter.grad is None or parameter.grad.dtype == wanted, name


def test_logits_leave_out_the_padding(model: LanguageModel) -> None:
    hidden, _ = model(tokens_and_starts()[0])
    logits = model.logits(hidden)
    assert logits.shape == (B, T, VOCABULARY)
    assert logits.dtype == torch.float32


def test_autocast_leaves_eigenvalues_and_carry_in_float32(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = LanguageModel(config, VOCABULARY)
    tokens, starts = tokens_and_starts()
    precise, _ = model(tokens, starts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, carry = model(tokens, starts)
        hidden, carry = model(tokens, starts, carry)
        loss = model.loss(tokens, starts[:, :-1])
    loss.backward()  # type: ignore[no-untyped-call]
    assert {tensor.dtype for layer in carry.layers for tensor in layer} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}
    assert loss.dtype == torch.float32
    torch.testing.assert_close(hidden.float()[starts], precise[starts], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("recompute", ["cheap", "blocks"])
def test_recomputing_changes_neither_loss_nor_gradients(model: LanguageModel, recompute: Recompute) -> None:
    tokens, starts = tokens_and_starts()
    found = []
    for model.recompute in ("nothing", recompute):
        loss = model.loss(tokens, starts[:, :-1])
        found.append((loss, torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


def test_a_loss_in_two_parts_is_the_loss(model: LanguageModel) -> None:
    tokens, starts = tokens_and_starts()
    first, carry = model.loss_and_carry(tokens[:, :9], starts[:, :8])
    second, _ = model.loss_and_carry(tokens[:, 8:], starts[:, 8:-1], carry=carry)
    torch.testing.assert_close(first + second, model.loss(tokens, starts[:, :-1]))


def test_weight_decay_spares_what_should_not_shrink(model: LanguageModel) -> None:
    names = {name for name, _ in model.named_parameters()} - model.no_decay_names()
    assert {name.rsplit(".", 1)[-1] for name in names} == {"weight"}
    assert not any("norm" in name or "embedding" in name or "positions" in name for name in names)


def test_positions_past_the_table_take_its_last_row(configs: dict[str, ModelConfig], build: Build) -> None:
    model = build(configs["ten-positions"])
    hidden, carry = model(torch.zeros(1, 30, dtype=torch.long))
    assert hidden.isfinite().all()
    assert carry.position is not None
    assert carry.position.tolist() == [30]
