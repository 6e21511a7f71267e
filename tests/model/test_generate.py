"""Generation: deterministic for a seed, equal to the parallel pass, and refusing what it cannot do."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ten.errors import SpecError
from ten.model.generate import generate
from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig

END, VOCABULARY = 0, 37
PROMPT = [5, 9, 14]


@pytest.fixture
def ten(configs: dict[str, ModelConfig], build: Callable[[ModelConfig], LanguageModel]) -> LanguageModel:
    return build(configs["ten"])


def drawn(model: LanguageModel, prompt: list[int], **settings: Any) -> list[int]:
    return list(generate(model, prompt, max_tokens=12, end_of_document=END, **settings))


def test_a_seed_decides_the_tokens(model: LanguageModel) -> None:
    first = drawn(model, PROMPT, seed=3)
    torch.manual_seed(99)
    assert drawn(model, PROMPT, seed=3) == first
    assert any(drawn(model, PROMPT, seed=seed) != first for seed in range(4, 9))


def test_temperature_zero_takes_the_likeliest_of_the_parallel_pass(model: LanguageModel) -> None:
    tokens = drawn(model, PROMPT, temperature=0.0)
    hidden, _ = model(torch.tensor([PROMPT + tokens]))
    best = model.logits(hidden[0]).argmax(dim=1).tolist()
    assert tokens == best[len(PROMPT) - 1 : len(PROMPT) - 1 + len(tokens)]


def test_an_empty_prompt_opens_a_document_after_an_end(model: LanguageModel) -> None:
    tokens = drawn(model, [], temperature=0.0)
    starts = torch.zeros(1, 1 + len(tokens), dtype=torch.bool)
    starts[0, 1:2] = True
    hidden, _ = model(torch.tensor([[END, *tokens]]), starts)
    assert tokens == model.logits(hidden[0]).argmax(dim=1).tolist()[: len(tokens)]


def test_an_end_of_document_stops_without_being_given(ten: LanguageModel) -> None:
    free = list(generate(ten, PROMPT, max_tokens=8, end_of_document=VOCABULARY, seed=1))
    assert len(free) == 8
    ended = list(generate(ten, PROMPT, max_tokens=8, end_of_document=free[4], seed=1))
    assert ended == free[: free.index(free[4])]


def test_one_candidate_is_the_likeliest(ten: LanguageModel) -> None:
    greedy = drawn(ten, PROMPT, temperature=0.0)
    assert drawn(ten, PROMPT, top_k=1) == greedy
    assert drawn(ten, PROMPT, top_p=1e-6) == greedy


def test_no_gradient_state_leaks_out_of_a_paused_generation(ten: LanguageModel) -> None:
    tokens = generate(ten, PROMPT, max_tokens=3, end_of_document=VOCABULARY)
    next(tokens)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"prompt": [VOCABULARY]}, "prompt"),
        ({"max_tokens": -1}, "max_tokens"),
    ],
)
def test_a_setting_out_of_range_is_refused_before_the_first_token(
    ten: LanguageModel, settings: dict[str, Any], named: str
) -> None:
    arguments = {"prompt": PROMPT, "max_tokens": 1, "end_of_document": END, **settings}
    with pytest.raises(SpecError, match=named):
        generate(ten, **arguments)
