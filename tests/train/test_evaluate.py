"""The held-out loss: every prediction once, in the bucket of what its document has before it."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import cast

import pytest
import torch
import torch.nn.functional as F

from ten.data.held_out import HeldOut
from ten.errors import DataError, TrainingDiverged
from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig
from ten.train.context import HeldOutLoss
from ten.train.distributed import World
from ten.train.evaluate import held_out_loss
from tests.train.tiny import HeldOutBatch, TinyHeldOut, tiny_model

T, VOCABULARY = 40, 37
CONFIG = ModelConfig(
    layers=2, width=12, eigenstates=8, mlp_width=20, heads=2, convolution=4, max_memory=64.0, positions=T
)


class Rows:
    """Two batches with documents and padding."""

    text_bytes = 100
    seq_len = T

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = []
        for rows in (3, 2):
            tokens = torch.randint(VOCABULARY, (rows, T + 1), generator=generator)
            starts = torch.rand(rows, T, generator=generator) < 0.1
            weights = torch.ones(rows, T)
            weights[-1, 25:] = 0
            self.batches.append(HeldOutBatch(tokens, starts, weights))

    def __iter__(self) -> Iterator[HeldOutBatch]:
        return iter(self.batches)


@pytest.fixture
def model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(CONFIG, VOCABULARY)


def tiny_text(text_bytes: int = 100) -> HeldOut:
    own = TinyHeldOut()
    own.text_bytes = text_bytes
    return cast(HeldOut, own)


def evaluate(model: LanguageModel, text: object, segment: int | None = None) -> HeldOutLoss:
    found = held_out_loss(model, cast(HeldOut, text), world=World(), autocast=nullcontext, segment=segment)
    assert found is not None
    return found


def test_who_waits_is_told_of_every_token(model: LanguageModel) -> None:
    told: list[int] = []
    held_out_loss(model, cast(HeldOut, Rows()), world=World(), autocast=nullcontext, scored=told.append)
    assert told == [3 * T - (T - 25), 2 * T - (T - 25)]


@pytest.mark.parametrize("segment", [None, 1, 7, T, 2 * T])
def test_each_bucket_has_the_loss_of_its_predictions(model: LanguageModel, segment: int | None) -> None:
    rows = Rows()
    nats, counts = [0.0] * T, [0] * T
    with torch.no_grad():
        for batch in rows.batches:
            logits = model.logits(model(batch.tokens[:, :-1], batch.starts)[0])
            losses = F.cross_entropy(logits.transpose(1, 2), batch.tokens[:, 1:], reduction="none")
            for row in range(len(losses)):
                context = 0
                for time in range(T):
                    context = 0 if bool(batch.starts[row, time]) else context
                    if batch.weights[row, time]:
                        nats[context] += losses[row, time].item()
                        counts[context] += 1
                    context += 1
    found = evaluate(model, rows, segment)
    assert sum(bucket.tokens for bucket in found.by_context) == sum(counts)
    for bucket in found.by_context:
        inside = slice(bucket.begin, bucket.end)
        assert bucket.tokens == sum(counts[inside])
        assert bucket.bits_per_token == pytest.approx(sum(nats[inside]) / bucket.tokens / math.log(2), rel=1e-5)
    assert found.bits_per_byte == pytest.approx(sum(nats) / (100 * math.log(2)), rel=1e-5)


def test_a_bucket_without_a_prediction_is_left_out(model: LanguageModel) -> None:
    rows = Rows()
    for batch in rows.batches:
        batch.starts[:] = True
    assert [(bucket.begin, bucket.tokens) for bucket in evaluate(model, rows).by_context] == [(0, 170)]


def test_it_is_the_nats_of_counted_targets_over_bytes_and_ln_2() -> None:
    model = tiny_model().eval()
    with torch.no_grad():
        nats = sum(float(model.loss(b.tokens, b.starts, b.weights)) for b in tiny_text())
    assert evaluate(model, tiny_text()).bits_per_byte == pytest.approx(nats / (100 * math.log(2)), rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_the_gradients_and_the_random_state_stay(training: bool) -> None:
    model = tiny_model(dropout=0.5)
    model.train(training)
    before = torch.get_rng_state()
    assert evaluate(model, tiny_text()) == evaluate(model, tiny_text())
    assert model.training is training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_stop_between_batches_gives_it_up_and_restores_the_mode() -> None:
    model = tiny_model()
    polls = iter([False, True])
    assert held_out_loss(model, tiny_text(), world=World(), autocast=nullcontext, stop=lambda: next(polls)) is None
    assert model.training


def test_an_empty_held_out_split_is_an_error_of_the_data() -> None:
    with pytest.raises(DataError, match="held-out text is empty"):
        evaluate(tiny_model(), tiny_text(0))


def test_a_held_out_loss_that_is_not_finite_is_never_hidden() -> None:
    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="held-out loss is nan"):
        evaluate(model, tiny_text())
