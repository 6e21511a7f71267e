"""The loss by context: every prediction once, in the bucket of what its document has before it."""

import math
from contextlib import nullcontext
from itertools import pairwise
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ten.data.held_out import HeldOut
from ten.errors import DataError
from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig
from ten.train.context import bucket_edges
from ten.train.context_loss import loss_by_context
from ten.train.distributed import World
from ten.train.evaluate import bits_per_byte
from tests.train.tiny import HeldOutBatch

T, VOCABULARY = 40, 37
CONFIG = ModelConfig(layers=1, width=12, eigenstates=8, mlp_width=20, heads=2, convolution=4, max_memory=64.0)


class Rows:
    """Two batches with documents and padding."""

    text_bytes = 100

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = []
        for rows in (3, 2):
            tokens = torch.randint(VOCABULARY, (rows, T + 1), generator=generator)
            starts = torch.rand(rows, T, generator=generator) < 0.1
            weights = torch.ones(rows, T)
            weights[-1, 25:] = 0
            self.batches.append(HeldOutBatch(tokens, starts, weights))

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.batches)


@pytest.fixture
def model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(CONFIG, VOCABULARY)


def test_each_bucket_has_the_loss_of_its_predictions(model: LanguageModel) -> None:
    rows = Rows()
    found = loss_by_context(model, cast(HeldOut, rows), seq_len=T, world=World(), autocast=nullcontext)
    assert found is not None
    nats = dict.fromkeys(range(T), 0.0)
    counts = dict.fromkeys(range(T), 0)
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
    assert sum(bucket.tokens for bucket in found) == sum(counts.values())
    for bucket in found:
        inside = range(bucket.begin, bucket.end)
        tokens = sum(counts[context] for context in inside)
        assert bucket.tokens == tokens
        if tokens:
            assert bucket.bits_per_token == pytest.approx(
                sum(nats[context] for context in inside) / tokens / math.log(2), rel=1e-5
            )
        else:
            assert bucket.bits_per_token is None


def test_together_they_are_the_held_out_loss(model: LanguageModel) -> None:
    rows = cast(HeldOut, Rows())
    model.train()
    found = loss_by_context(model, rows, seq_len=T, world=World(), autocast=nullcontext)
    whole = bits_per_byte(model, rows, world=World(), autocast=nullcontext, stop=lambda: False)
    assert found is not None
    assert sum(bucket.nats for bucket in found) / (100 * math.log(2)) == pytest.approx(whole, rel=1e-6)
    assert model.training


def test_a_stop_gives_it_up(model: LanguageModel) -> None:
    rows = cast(HeldOut, Rows())
    assert loss_by_context(model, rows, seq_len=T, world=World(), autocast=nullcontext, stop=lambda: True) is None


def test_empty_text_is_an_error_of_the_data(model: LanguageModel) -> None:
    rows = Rows()
    rows.text_bytes = 0
    with pytest.raises(DataError, match="is empty"):
        loss_by_context(model, cast(HeldOut, rows), seq_len=T, world=World(), autocast=nullcontext)


@given(st.integers(1, 2**20))
def test_buckets_cover_a_row_and_grow(seq_len: int) -> None:
    edges = bucket_edges(seq_len)
    assert edges[0] == 0
    assert edges[-1] == seq_len
    assert 2 <= len(edges) <= 9
    assert all(2 * low <= high for low, high in pairwise(edges))
