"""Decoding step by step: the parallel pass's logits, at any context, with nothing shared and nothing left behind."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ten.model.decode import Decoder
from ten.model.generate import generate
from ten.model.lm import LanguageModel
from ten.model.mixer import TenMixer
from ten.model.presets import ModelConfig

VOCABULARY = 37
ROWS, PROMPT, STEPS = 3, 5, 7


def rows(length: int) -> Tensor:
    return torch.randint(0, VOCABULARY, (ROWS, length), generator=torch.Generator().manual_seed(length))


@torch.no_grad()
def test_steps_give_the_logits_of_the_parallel_pass(model: LanguageModel) -> None:
    tokens = rows(PROMPT + STEPS)
    expected = model.logits(model(tokens)[0])
    _, carry = model(tokens[:, :PROMPT])
    decoder = Decoder(model, carry)
    for at in range(PROMPT, PROMPT + STEPS):
        torch.testing.assert_close(decoder.step(tokens[:, at]), expected[:, at], atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_its_carry_goes_on_where_it_stopped_and_the_given_one_is_untouched(model: LanguageModel) -> None:
    tokens = rows(PROMPT + STEPS + 2)
    _, carry = model(tokens[:, :PROMPT])
    before = [part.clone() for layer in carry.layers for part in layer]
    decoder = Decoder(model, carry)
    for at in range(PROMPT, PROMPT + STEPS):
        decoder.step(tokens[:, at])
    after = decoder.carry()
    decoder.step(tokens[:, 0])
    rest, _ = model(tokens[:, PROMPT + STEPS :], None, after)
    torch.testing.assert_close(rest, model(tokens)[0][:, PROMPT + STEPS :], atol=2e-5, rtol=1e-5)
    assert all(
        torch.equal(one, two)
        for one, two in zip(before, [part for layer in carry.layers for part in layer], strict=True)
    )


@torch.no_grad()
def test_the_coupling_is_the_same_folded_or_applied_to_the_states(
    configs: dict[str, ModelConfig], build: Callable[[ModelConfig], LanguageModel]
) -> None:
    mixer = build(configs["ten"]).blocks[0].mixer
    assert isinstance(mixer, TenMixer)
    output = mixer.output
    few = torch.randn(1, 2, 16, dtype=torch.float64)
    gate = torch.randn(1, 2, output.projection.out_features, dtype=torch.float64)
    torch.testing.assert_close(output(few, gate), few @ output.weight().t() * torch.sigmoid(gate))


@pytest.mark.gpu
@torch.no_grad()
def test_a_replayed_graph_gives_what_eager_steps_give(model: LanguageModel) -> None:
    model = model.float().cuda()
    tokens = rows(PROMPT + STEPS).cuda()
    _, carry = model(tokens[:, :PROMPT])
    decoder = Decoder(model, carry)
    for at in range(PROMPT, PROMPT + STEPS):
        hidden, carry = model(tokens[:, at : at + 1], None, carry)
        torch.testing.assert_close(decoder.step(tokens[:, at]), model.logits(hidden[:, -1]), atol=1e-5, rtol=1e-5)
    for one, two in zip(decoder.carry().layers, carry.layers, strict=True):
        torch.testing.assert_close(one.state, two.state, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
def test_both_devices_write_the_same_greedy_text(
    configs: dict[str, ModelConfig], build: Callable[[ModelConfig], LanguageModel]
) -> None:
    model = build(configs["ten"]).float()
    here = list(generate(model, [5, 9], max_tokens=9, end_of_document=VOCABULARY, temperature=0.0))
    there = list(generate(model.cuda(), [5, 9], max_tokens=9, end_of_document=VOCABULARY, temperature=0.0))
    assert here == there
