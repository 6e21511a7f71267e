"""Generation by transformers with our carry as its cache: equal to ours, and to generation without a cache."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ten.hf import TenCache, TenForCausalLM
from ten.model.generate import generate
from tests.hf.conftest import END

PROMPTS = [[5, 9, 14], [7], [3, 3, 8, 21, 30]]


def padded() -> tuple[Tensor, Tensor]:
    """The prompts in one batch, padded on the left with the end of a document, and their mask."""
    width = max(map(len, PROMPTS))
    tokens = torch.tensor([[END] * (width - len(prompt)) + prompt for prompt in PROMPTS])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in PROMPTS])
    return tokens, mask


def test_greedy_is_ours(model: TenForCausalLM) -> None:
    for prompt in PROMPTS:
        drawn = model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0, len(prompt) :].tolist()
        ours = list(generate(model.model, prompt, max_tokens=12, end_of_document=END, temperature=0.0))
        assert drawn == (ours if len(ours) == 12 else [*ours, END])


def test_a_batch_draws_what_each_prompt_draws_alone(model: TenForCausalLM) -> None:
    tokens, mask = padded()
    settings: dict[str, Any] = {"max_new_tokens": 9, "do_sample": False, "eos_token_id": None}
    together = model.generate(tokens, attention_mask=mask, **settings)[:, tokens.shape[1] :]
    for row, prompt in enumerate(PROMPTS):
        alone = model.generate(torch.tensor([prompt]), **settings)[0, len(prompt) :]
        assert torch.equal(together[row], alone)


@pytest.mark.parametrize(
    "settings",
    [
        {"do_sample": False},
        {"do_sample": True, "top_k": 5, "num_return_sequences": 2},
        {"num_beams": 3, "num_return_sequences": 2},
        {"num_beams": 2, "do_sample": True},
    ],
    ids=["greedy", "sampling", "beams", "sampled beams"],
)
def test_the_cache_changes_no_token(model: TenForCausalLM, settings: dict[str, Any]) -> None:
    tokens, mask = padded()
    drawn = []
    for use_cache in (True, False):
        torch.manual_seed(3)
        drawn.append(model.generate(tokens, attention_mask=mask, max_new_tokens=9, use_cache=use_cache, **settings))
    assert torch.equal(*drawn)


def test_prompts_read_in_pieces_draw_the_same(ten: TenForCausalLM) -> None:
    tokens, mask = padded()
    settings: dict[str, Any] = {"attention_mask": mask, "max_new_tokens": 9, "do_sample": False}
    assert torch.equal(ten.generate(tokens, prefill_chunk_size=2, **settings), ten.generate(tokens, **settings))


def test_generation_goes_on_from_a_cache(ten: TenForCausalLM) -> None:
    tokens = torch.tensor([PROMPTS[2]])
    settings: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    cache = TenCache()
    ten(tokens[:, :3], past_key_values=cache)
    assert torch.equal(ten.generate(tokens, past_key_values=cache, **settings), ten.generate(tokens, **settings))


def test_without_a_prompt_a_document_is_begun(ten: TenForCausalLM) -> None:
    drawn = ten.generate(max_new_tokens=8, do_sample=False)[0].tolist()
    ours = list(generate(ten.model, [], max_tokens=8, end_of_document=END, temperature=0.0))
    assert drawn == [END, *ours, END][: len(drawn)]
    assert len(drawn) >= len(ours) + 1


@pytest.mark.parametrize("new", [1, 4])
def test_prompts_padded_on_the_right_are_refused(ten: TenForCausalLM, new: int) -> None:
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    with pytest.raises(ValueError, match="pad prompts on the left"):
        ten.generate(torch.tensor([[5, 9, 14], [7, END, END]]), attention_mask=mask, max_new_tokens=new)


def test_other_caches_are_refused(ten: TenForCausalLM) -> None:
    with pytest.raises(ValueError, match="one cache"):
        ten.generate(torch.tensor([[5]]), max_new_tokens=2, cache_implementation="static")


def test_a_cache_cannot_forget_its_last_tokens(ten: TenForCausalLM) -> None:
    cache = ten(torch.tensor([[5, 9]])).past_key_values
    cache.crop(0)
    assert not cache.is_croppable
    with pytest.raises(ValueError, match="cannot forget"):
        cache.crop(-1)


def test_rows_of_a_cache_are_chosen_repeated_and_forgotten(ten: TenForCausalLM) -> None:
    tokens = torch.tensor([[5, 9], [7, 2], [4, 4]])
    more = torch.tensor([[3], [8], [6]])
    cache = ten(tokens).past_key_values
    assert (cache.batch_size, len(cache), cache.get_max_length()) == (3, 2, -1)
    cache.batch_select_indices(torch.tensor([2, 0]))
    cache.batch_repeat_interleave(2)
    order = [2, 2, 0, 0]
    expected = ten(torch.cat([tokens[order], more[order]], dim=1)).logits[:, -1:]
    torch.testing.assert_close(ten(more[order], past_key_values=cache).logits, expected)
    cache.reset()
    assert (cache.batch_size, len(cache), cache.get_seq_length()) == (-1, 0, 0)


@pytest.mark.gpu
def test_a_gpu_draws_what_the_cpu_draws(ten: TenForCausalLM) -> None:
    tokens, mask = padded()
    settings: dict[str, Any] = {"max_new_tokens": 9, "eos_token_id": None}
    ten.double()
    for search in ({"do_sample": False}, {"num_beams": 3}):
        here = ten.cpu().generate(tokens, attention_mask=mask, **search, **settings)
        there = ten.cuda().generate(tokens.cuda(), attention_mask=mask.cuda(), **search, **settings)
        assert torch.equal(there.cpu(), here)
