"""The model behind the interface of transformers: our logits, loss, gradients, and padding that changes nothing."""

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from ten.errors import DataError, SpecError
from ten.hf import TenConfig, TenForCausalLM
from ten.model.exported import FLOAT32
from tests.hf.conftest import END, TEN, VOCABULARY, build


def text(rows: int, time: int, seed: int = 1) -> Tensor:
    """Tokens (rows, time) without an end of document."""
    return torch.randint(1, VOCABULARY, (rows, time), generator=torch.Generator().manual_seed(seed))


def test_logits_are_ours_to_the_bit(model: TenForCausalLM) -> None:
    tokens = text(3, 11)
    hidden, _ = model.model(tokens)
    assert torch.equal(model(tokens).logits, model.model.logits(hidden))


def test_the_token_after_an_end_opens_a_document_as_in_training(model: TenForCausalLM) -> None:
    tokens = text(2, 11)
    tokens[0, 0] = tokens[0, 4] = tokens[1, 9] = END
    starts = torch.zeros(2, 11, dtype=torch.bool)
    starts[0, 1] = starts[0, 5] = starts[1, 10] = True
    hidden, _ = model.model(tokens, starts)
    assert torch.equal(model(tokens).logits, model.model.logits(hidden))


def test_rows_trained_as_one_text_are_read_as_one() -> None:
    model, tokens = build(TEN, reset_carry=False), text(2, 11)
    tokens[0, 4] = END
    hidden, _ = model.model(tokens)
    assert torch.equal(model(tokens).logits, model.model.logits(hidden))


def test_padding_on_the_left_changes_nothing(model: TenForCausalLM) -> None:
    model.double()
    tokens = text(3, 13)
    mask = torch.ones_like(tokens)
    for row, padding in enumerate((0, 4, 12)):
        mask[row, :padding] = 0
    padded = model(tokens, attention_mask=mask).logits
    for row, padding in enumerate((0, 4, 12)):
        torch.testing.assert_close(padded[row, padding:], model(tokens[row : row + 1, padding:]).logits[0])


def test_padding_on_the_right_changes_nothing_before_it(model: TenForCausalLM) -> None:
    tokens = text(2, 13)
    mask = torch.ones_like(tokens)
    mask[1, 7:] = 0
    logits = model(tokens, attention_mask=mask).logits
    torch.testing.assert_close(logits[1, :7], model(tokens[1:, :7]).logits[0])


@pytest.mark.parametrize("cut", [1, 3, 5, 12])
def test_calls_with_the_cache_equal_one_call(model: TenForCausalLM, cut: int) -> None:
    model.double()
    tokens = text(3, 13)
    tokens[0, cut - 1] = END
    mask = torch.ones_like(tokens)
    mask[1, :4] = 0  # at some cuts all that the first call sees of the row
    whole = model(tokens, attention_mask=mask).logits
    first = model(tokens[:, :cut], attention_mask=mask[:, :cut])
    second = model(tokens[:, cut:], attention_mask=mask, past_key_values=first.past_key_values)
    split = torch.cat([first.logits, second.logits], dim=1)
    real = mask.bool()
    torch.testing.assert_close(split[real], whole[real])
    assert second.past_key_values.get_seq_length() == 13


def test_a_copy_of_a_cache_keeps_a_prompt_for_later(ten: TenForCausalLM) -> None:
    prompt, tokens = text(2, 5), text(2, 4, seed=2)
    kept = ten(prompt).past_key_values
    first = ten(tokens, past_key_values=copy.copy(kept)).logits
    assert torch.equal(ten(tokens, past_key_values=copy.copy(kept)).logits, first)
    assert torch.equal(ten(tokens, past_key_values=kept, use_cache=False).logits, first)
    assert kept.get_seq_length() == 5


@pytest.mark.parametrize("row", [[1, 1, 0, 1, 1, 1], [0, 1, 0, 0, 0, 1]])
def test_text_behind_padding_is_refused(ten: TenForCausalLM, row: list[int]) -> None:
    with pytest.raises(ValueError, match="goes on behind padding"):
        ten(text(2, 6), attention_mask=torch.tensor([[1] * 6, row]))


@pytest.mark.parametrize("mask", [None, torch.ones(2, 8, dtype=torch.long)])
def test_a_call_after_one_that_ended_in_padding_is_refused(ten: TenForCausalLM, mask: Tensor | None) -> None:
    padded = ten(text(2, 6), attention_mask=torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]]))
    with pytest.raises(ValueError, match="goes on behind padding"):
        ten(text(2, 2), attention_mask=mask, past_key_values=padded.past_key_values)


@pytest.mark.parametrize("shape", [(2, 5), (3, 6), (2, 1, 6, 6)])
def test_a_mask_of_another_shape_is_refused(ten: TenForCausalLM, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="attention_mask is"):
        ten(text(2, 6), attention_mask=torch.ones(shape))


def test_labels_give_the_mean_loss_and_our_gradients(model: TenForCausalLM) -> None:
    model.double().train()
    tokens = text(2, 9)
    labels = tokens.clone()
    labels[1, 6:] = -100
    weights = (labels[:, 1:] != -100).double()
    model(tokens, labels=labels).loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.model.named_parameters()}
    model.model.zero_grad()
    ours = model.model.loss(tokens, weights=weights) / weights.sum()
    torch.autograd.backward(ours)
    torch.testing.assert_close(model(tokens, labels=labels).loss.double(), ours, rtol=1e-5, atol=1e-5)
    for name, parameter in model.model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_the_loss_is_shared_out_over_the_tokens_that_a_trainer_counts(ten: TenForCausalLM) -> None:
    tokens = text(2, 9)
    logits = ten(tokens).logits[:, :-1].flatten(0, 1)
    nats = F.cross_entropy(logits, tokens[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(ten(tokens, labels=tokens, num_items_in_batch=40).loss, nats / 40)


def test_only_the_logits_that_are_asked_for_are_given(ten: TenForCausalLM) -> None:
    tokens = text(2, 9)
    whole = ten(tokens).logits
    torch.testing.assert_close(ten(tokens, logits_to_keep=2).logits, whole[:, -2:])
    torch.testing.assert_close(ten(tokens, logits_to_keep=torch.tensor([1, 4, 7])).logits, whole[:, [1, 4, 7]])


def test_a_saved_model_is_the_same_to_the_bit(model: TenForCausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(again, TenForCausalLM)
    assert torch.equal(again(text(2, 7)).logits, model(text(2, 7)).logits)
    assert AutoConfig.from_pretrained(tmp_path).to_diff_dict() == model.config.to_diff_dict()
    assert (tmp_path / "modeling_ten.py").is_file()


def test_a_missing_tensor_is_an_error_and_not_left_at_random(ten: TenForCausalLM, tmp_path: Path) -> None:
    ten.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.blocks.1.mixer.phase"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(DataError, match=r"model\.blocks\.1\.mixer\.phase is missing"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


def test_in_bfloat16_the_eigenvalues_stay_as_they_are(model: TenForCausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    half = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    for (name, parameter), (_, own) in zip(half.named_parameters(), model.named_parameters(), strict=True):
        stays = name.endswith(FLOAT32)
        assert parameter.dtype == (torch.float32 if stays else torch.bfloat16)
        assert not stays or torch.equal(parameter, own)
    tokens = text(2, 9)
    assert (half(tokens).logits - model(tokens).logits).norm() < 0.1 * model(tokens).logits.norm()
    assert half.generate(tokens, max_new_tokens=3, do_sample=False).shape == (2, 12)


def test_what_a_layer_keeps_of_eigenvalues_and_taps_is_named(model: TenForCausalLM) -> None:
    common = (nn.Linear, nn.Embedding, nn.RMSNorm, nn.LayerNorm)
    own = {
        name
        for module in model.modules()
        if not isinstance(module, common)
        for name, _ in module.named_parameters(recurse=False)
    }
    assert own - {"coupling"} <= {*FLOAT32}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"inputs_embeds": torch.zeros(1, 2, 12)}, "inputs_embeds"),
        ({"input_ids": text(1, 2), "output_hidden_states": True}, "hidden states"),
        ({"input_ids": text(1, 2), "past_key_values": ()}, "TenCache"),
    ],
)
def test_what_it_cannot_do_is_refused(ten: TenForCausalLM, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ten(**arguments)


def test_its_vocabulary_stays(ten: TenForCausalLM) -> None:
    assert ten.resize_token_embeddings(VOCABULARY) is ten.get_input_embeddings()
    with pytest.raises(ValueError, match="stays at 37"):
        ten.resize_token_embeddings(64)
    with pytest.raises(ValueError, match="cannot be exchanged"):
        ten.set_input_embeddings(nn.Embedding(3, 3))


def test_a_fresh_model_starts_as_ours_does() -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(TenConfig(ten=msgspec.to_builtins(TEN), vocab_size=VOCABULARY))
    assert torch.equal(model.model.blocks[0].mixer.taps[0], torch.ones(16))
    assert model.model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_model_of_another_version_is_refused() -> None:
    with pytest.raises(SpecError, match="none of this version's models"):
        TenConfig(ten={**msgspec.to_builtins(TEN), "spin": 2})
