"""The gradient is the same at every level of memory, and that of segments is the whole row's."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, get_args

import msgspec
import pytest
import torch
from torch import Tensor

from ten.errors import SpecError
from ten.model.lm import LanguageModel
from ten.model.memory import LEVELS, Level
from ten.model.presets import ModelConfig
from ten.train.backward import Backward
from ten.train.settings import Memory, TrainSettings

B, T, VOCABULARY = 3, 14, 37
TEN = ModelConfig(layers=2, width=12, eigenstates=8, mlp_width=20, heads=2, convolution=4, max_memory=64.0)
PAPER = msgspec.structs.replace(
    TEN, variant="paper", input_gate=False, convolution=0, input_scaling=False, mlp_width=48
)
OPTIONS: dict[str, tuple[ModelConfig, dict[str, Any]]] = {
    "ten": (TEN, {}),
    "fixed": (TEN, {"selective": False}),
    "no-convolution": (TEN, {"convolution": 0}),
    "long-convolution": (TEN, {"convolution": 7}),
    "bare": (TEN, {"selective": False, "input_gate": False, "convolution": 0, "input_scaling": False}),
    "positions": (TEN, {"positions": 9}),
    "paper": (PAPER, {}),
    "paper-positions": (PAPER, {"positions": 40, "selective": False}),
}
CONFIGS = {name: msgspec.structs.replace(base, **changes) for name, (base, changes) in OPTIONS.items()}


def build(config: ModelConfig, dtype: torch.dtype = torch.float64) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel(config, VOCABULARY).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def rows(seed: int = 0, share: float = 0.1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (B, T + 1), generator=generator)
    return tokens, torch.rand(B, T, generator=generator) < share


def gradients(
    model: LanguageModel,
    level: Level,
    segment: int = 5,
    *,
    batches: list[tuple[Tensor, Tensor]],
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    weights: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    model.zero_grad()
    backward = Backward((level,), segment)
    nats = torch.stack([backward(model, *batch, autocast, weights).double() for batch in batches]).sum()
    assert all(p.grad is not None for p in model.parameters())
    return nats, [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("segment", [1, 5, T - 1, T + 9, 2 * T, 9 * T])
@pytest.mark.parametrize("name", CONFIGS)
def test_segments_of_any_length_give_the_gradient_of_whole_rows(name: str, segment: int) -> None:
    model, batches = build(CONFIGS[name]), [rows()]
    nats, grads = gradients(model, "keep", batches=batches)
    by_segments = gradients(model, "segments", segment, batches=batches)
    torch.testing.assert_close(by_segments[0], nats, rtol=1e-12, atol=0)
    torch.testing.assert_close(by_segments[1], grads, rtol=1e-9, atol=1e-11)


def test_of_all_passes_of_a_micro_batch_only_the_very_last_is_said_to_be_the_last() -> None:
    model, (tokens, starts) = build(TEN), rows()
    for segment in (5, T, 2 * T):
        said: list[bool] = []

        def around(last: bool, said: list[bool] = said) -> AbstractContextManager[None]:
            said.append(last)
            return nullcontext()

        Backward(("segments",), segment)(model, tokens, starts, nullcontext, around=around)
        assert said == [False] * (len(said) - 1) + [True]
        assert len(said) == {5: 3 * B, T: B, 2 * T: 2}[segment]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_segments_are_exact_wherever_documents_start(share: float) -> None:
    model, batches = build(TEN), [rows(3, share)]
    nats, grads = gradients(model, "keep", batches=batches)
    by_segments = gradients(model, "segments", 4, batches=batches)
    torch.testing.assert_close(by_segments, (nats, grads), rtol=1e-9, atol=1e-11)


def test_a_gradient_truncated_at_segments_would_not_pass() -> None:
    model, (tokens, starts) = build(TEN), rows(share=0.0)
    _, grads = gradients(model, "keep", batches=[(tokens, starts)])
    model.zero_grad()
    first, carry = model.loss_and_carry(tokens[:, :10], starts[:, :9])
    second, _ = model.loss_and_carry(tokens[:, 9:], starts[:, 9:], carry=carry.detach())
    (first + second).backward()  # type: ignore[no-untyped-call]
    truncated = [p.grad for p in model.parameters()]
    assert any(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(grads, truncated, strict=True) if b is not None)


@pytest.mark.parametrize("level", LEVELS)
def test_micro_batches_add_up(level: Level) -> None:
    model, batches = build(TEN), [rows(1), rows(2)]
    whole = [(torch.cat([a, b]),) for a, b in zip(*batches, strict=True)]
    together = gradients(model, "keep", batches=[(whole[0][0], whole[1][0])])
    torch.testing.assert_close(gradients(model, level, batches=batches), together, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("level", ["select", "recompute"])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_computed_again_has_the_same_bits(name: str, level: Level, bf16: bool) -> None:
    model, batches = build(CONFIGS[name], torch.float32), [rows()]
    autocast = (lambda: torch.autocast("cpu", dtype=torch.bfloat16)) if bf16 else nullcontext
    kept = gradients(model, "keep", batches=batches, autocast=autocast)
    found = gradients(model, level, batches=batches, autocast=autocast)
    torch.testing.assert_close(found, kept, rtol=0, atol=0)


def test_segments_under_autocast_are_near_the_whole() -> None:
    model, batches = build(TEN, torch.float32), [rows()]
    autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16)  # noqa: E731
    kept = gradients(model, "keep", batches=batches, autocast=autocast)
    found = gradients(model, "segments", batches=batches, autocast=autocast)
    torch.testing.assert_close(found[0], kept[0], rtol=2e-3, atol=0)
    difference = torch.cat([(a - b).flatten() for a, b in zip(found[1], kept[1], strict=True)]).norm()
    assert difference < 0.05 * torch.cat([grad.flatten() for grad in kept[1]]).norm()


def test_nats_have_no_gradient_from_tokens_after_them() -> None:
    model, (tokens, starts) = build(TEN), rows(share=0.0)
    weights = (torch.arange(T) < 10).double().expand(B, T)
    other = tokens.clone()
    other[:, 11:] = (other[:, 11:] + 1) % VOCABULARY
    found = gradients(model, "segments", 4, batches=[(tokens, starts)], weights=weights)
    torch.testing.assert_close(
        gradients(model, "segments", 4, batches=[(other, starts)], weights=weights), found, rtol=1e-12, atol=1e-14
    )
    torch.testing.assert_close(
        gradients(model, "keep", batches=[(tokens[:, :11], starts[:, :10])]), found, rtol=1e-9, atol=1e-11
    )


def test_levels_end_with_the_way_out() -> None:
    backward = Backward(("select", "segments"), 64)
    assert (backward.level, backward.segment) == ("select", None)
    assert backward.step_down() == backward.level == "segments"
    assert backward.segment == 64
    with pytest.raises(SpecError, match=r"at segments; lower train\.segment, or .*train\.micro_batch_rows"):
        backward.step_down()
    with pytest.raises(SpecError, match=r"at keep; set train\.memory to segments, or"):
        Backward(("keep",)).step_down()


def test_settings_know_all_levels() -> None:
    assert get_args(get_args(Memory)[1]) == LEVELS
    assert TrainSettings().memory == "auto"
