"""Held-out bits per byte."""

import math
from contextlib import nullcontext
from typing import cast

import pytest
import torch

from ten.data.held_out import HeldOut
from ten.errors import DataError, TrainingDiverged
from ten.train.distributed import World
from ten.train.evaluate import bits_per_byte
from tests.train.tiny import TinyHeldOut, tiny_model


def held_out(text_bytes: int = 100) -> HeldOut:
    own = TinyHeldOut()
    own.text_bytes = text_bytes
    return cast(HeldOut, own)


def test_it_is_the_nats_of_counted_targets_over_bytes_and_ln_2() -> None:
    model = tiny_model().eval()
    with torch.no_grad():
        nats = sum(float(model.loss(b.tokens, b.starts, b.weights)) for b in held_out())
    value = bits_per_byte(model, held_out(), world=World(), autocast=nullcontext, stop=lambda: False)
    assert value == pytest.approx(nats / (100 * math.log(2)), rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_the_gradients_and_the_random_state_stay(training: bool) -> None:
    model = tiny_model(dropout=0.5)
    model.train(training)
    before = torch.get_rng_state()
    first = bits_per_byte(model, held_out(), world=World(), autocast=nullcontext, stop=lambda: False)
    second = bits_per_byte(model, held_out(), world=World(), autocast=nullcontext, stop=lambda: False)
    assert first == second
    assert model.training is training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_stop_between_batches_gives_it_up_and_restores_the_mode() -> None:
    model = tiny_model()
    polls = iter([False, True])
    assert bits_per_byte(model, held_out(), world=World(), autocast=nullcontext, stop=lambda: next(polls)) is None
    assert model.training


def test_an_empty_held_out_split_is_an_error_of_the_data() -> None:
    with pytest.raises(DataError, match="held-out text is empty"):
        bits_per_byte(tiny_model(), held_out(0), world=World(), autocast=nullcontext, stop=lambda: False)


def test_a_held_out_loss_that_is_not_finite_is_never_hidden() -> None:
    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="held-out loss is nan"):
        bits_per_byte(model, held_out(), world=World(), autocast=nullcontext, stop=lambda: False)
