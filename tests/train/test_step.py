"""One optimizer step: exact for every split of its rows, untouched weights when it cannot be finished."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ten.errors import TrainingDiverged
from ten.model.lm import LanguageModel
from ten.train.distributed import World
from ten.train.optim import build_optimizer
from ten.train.settings import TrainSettings
from ten.train.step import Stepper
from tests.train.tiny import T, step_batch, tiny_model


def stepper(model: LanguageModel, *, clip_norm: float = 0.0, polls_until_stop: int = 10**9) -> Stepper:
    polls = iter(range(10**9))
    return Stepper(
        model=model,
        optimizer=build_optimizer(model, TrainSettings(), {"mix.bias"}),
        world=World(),
        autocast=nullcontext,
        clip_norm=clip_norm,
        stop=lambda: next(polls) >= polls_until_stop,
    )


def gradients(model: LanguageModel) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def weights(model: LanguageModel) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("micro_batches", [2, 4, 8])
def test_accumulation_changes_neither_loss_nor_gradients(micro_batches: int) -> None:
    whole, parts = tiny_model(dropout=0.0), tiny_model(dropout=0.0)
    one = stepper(whole).take(step_batch(0, rows=8), step=1, learning_rate=1e-3)
    many = stepper(parts).take(step_batch(0, rows=8, micro_batches=micro_batches), step=1, learning_rate=1e-3)
    assert one is not None
    assert many is not None
    assert many.loss == pytest.approx(one.loss, abs=1e-6)
    assert many.grad_norm == pytest.approx(one.grad_norm, abs=1e-6)
    assert many.tokens == one.tokens == 8 * T
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(parts)[name], gradient, atol=1e-6, rtol=0)


def test_micro_batches_of_different_sizes_weigh_by_their_tokens() -> None:
    whole, parts = tiny_model(dropout=0.0), tiny_model(dropout=0.0)
    batch = step_batch(0, rows=6)
    micro = batch.micro_batches[0]
    uneven = tuple(
        replace(micro, tokens=micro.tokens[cut], starts=micro.starts[cut]) for cut in (slice(0, 1), slice(1, 6))
    )
    one = stepper(whole).take(batch, step=1, learning_rate=0.0)
    two = stepper(parts).take(replace(batch, micro_batches=uneven), step=1, learning_rate=0.0)
    assert one is not None
    assert two is not None
    assert two.loss == pytest.approx(one.loss, abs=1e-6)


def test_the_loss_is_the_mean_of_nats_per_token() -> None:
    model = tiny_model(dropout=0.0)
    batch = step_batch(3)
    tokens = batch.micro_batches[0].tokens
    expected = float(model.loss(tokens).detach()) / (8 * T)
    result = stepper(model).take(batch, step=1, learning_rate=1e-3)
    assert result is not None
    assert result.loss == pytest.approx(expected, rel=1e-6)


def test_clipping_shortens_the_gradient_and_reports_what_it_was() -> None:
    free, clipped = tiny_model(dropout=0.0), tiny_model(dropout=0.0)
    one = stepper(free).take(step_batch(0), step=1, learning_rate=1e-3)
    two = stepper(clipped, clip_norm=0.25).take(step_batch(0), step=1, learning_rate=1e-3)
    assert one is not None
    assert two is not None
    assert two.grad_norm == one.grad_norm > 0.25
    norm = torch.cat([gradient.flatten() for gradient in gradients(clipped).values()]).norm()
    assert float(norm) == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("polls", [0, 1, 3])
def test_a_stop_between_micro_batches_abandons_the_step_and_touches_nothing(polls: int) -> None:
    model = tiny_model()
    before = weights(model)
    own = stepper(model, polls_until_stop=polls)
    assert own.take(step_batch(0, micro_batches=4), step=1, learning_rate=1e-3) is None
    assert gradients(model) == {}
    assert not own.optimizer.state_dict()["state"]
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, before[name])


def test_a_stop_after_the_last_micro_batch_lets_the_step_finish() -> None:
    own = stepper(tiny_model(), polls_until_stop=4)
    assert own.take(step_batch(0, micro_batches=4), step=1, learning_rate=1e-3) is not None


def test_no_batch_asks_to_stop() -> None:
    assert stepper(tiny_model()).take(None, step=1, learning_rate=1e-3) is None


@pytest.mark.parametrize(("poison", "word"), [("loss", "loss is nan"), ("gradient", "norm of the gradient is inf")])
def test_nothing_finite_stops_with_step_value_and_cures_and_touches_no_weight(poison: str, word: str) -> None:
    model = tiny_model(dropout=0.0)
    own = stepper(model)
    assert own.take(step_batch(0), step=1, learning_rate=1e-3) is not None
    with torch.no_grad():
        if poison == "loss":
            model.embedding[3, 0] = float("nan")  # type: ignore[operator]
        else:
            model.mix.bias.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[union-attr, operator]
    before = weights(model)
    with pytest.raises(TrainingDiverged, match=rf"step 2: the {word}.*train\.learning_rate") as caught:
        own.take(step_batch(1), step=2, learning_rate=1e-3)
    if poison == "gradient":
        assert "mix.bias" in str(caught.value)
    for name, tensor in weights(model).items():
        torch.testing.assert_close(tensor, before[name], equal_nan=True, atol=0, rtol=0)


def test_bf16_autocast_keeps_weights_and_gradients_in_fp32() -> None:
    model = tiny_model()
    own = replace(stepper(model), autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    assert own.take(step_batch(0, micro_batches=2), step=1, learning_rate=1e-3) is not None
    assert {tensor.dtype for tensor in [*gradients(model).values(), *weights(model).values()]} == {torch.float32}
