"""Text from a model: tokens drawn one after another, with a state that does not grow (torch)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ten.errors import SpecError
from ten.model.decode import Decoder
from ten.model.lm import Carry, LanguageModel


def generate(
    model: LanguageModel,
    prompt: Sequence[int],
    *,
    max_tokens: int,
    end_of_document: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
) -> Iterator[int]:
    """The tokens that follow `prompt`, at most `max_tokens`, up to but without an end of document.

    The prompt opens a document. When it is empty the first token is drawn as training predicts it, at the end of
    the document before, and then opens its own. Temperature 0 takes the likeliest token; `top_k` keeps the k
    likeliest, `top_p` the fewest whose probability reaches p. The same seed gives the same tokens, whatever the
    global random state.

    Raises SpecError, before the first token, for a setting or a prompt token out of range.
    """
    _check(model, prompt, max_tokens, temperature, top_k, top_p)
    return _tokens(model, list(prompt), max_tokens, end_of_document, _Sampler(temperature, top_k, top_p, seed))


class _Sampler:
    """Draws tokens from logits: ranked where they are, drawn on the CPU so that devices agree on the draw."""

    def __init__(self, temperature: float, top_k: int | None, top_p: float, seed: int) -> None:
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, logits: Tensor) -> int:
        """A token from logits (V,)."""
        if self.temperature == 0:
            return int(logits.argmax())
        ranked, tokens = (part[: self.top_k].cpu() for part in torch.sort(logits, descending=True, stable=True))
        chances = torch.softmax(ranked / self.temperature, dim=0)
        if self.top_p < 1:
            reached_before = torch.cumsum(chances, dim=0) - chances
            chances = torch.where(reached_before < self.top_p, chances, 0.0)
        return int(tokens[torch.multinomial(chances, 1, generator=self.generator)])


def _tokens(
    model: LanguageModel, prompt: list[int], max_tokens: int, end_of_document: int, sampler: _Sampler
) -> Iterator[int]:
    if max_tokens == 0:
        return
    logits, carry = _open(model, prompt or [end_of_document], None)
    decoder: Decoder | None = None
    for drawn in range(1, max_tokens + 1):
        token = sampler.draw(logits)
        if token == end_of_document:
            return
        yield token
        if drawn == max_tokens:
            return
        if drawn == 1 and not prompt:
            logits, carry = _open(model, [token], carry)
            continue
        decoder = decoder or Decoder(model, carry)
        logits = decoder.step(torch.tensor([token]))[0]


@torch.no_grad()
def _open(model: LanguageModel, tokens: list[int], carry: Carry | None) -> tuple[Tensor, Carry]:
    """Feed tokens of one row that open a document; the logits (V,) of the next one, and the carry."""
    device = model.embedding.weight.device
    starts = torch.tensor([[True] + [False] * (len(tokens) - 1)], device=device)
    hidden, carry = model(torch.tensor([tokens], device=device), starts, carry)
    return model.logits(hidden[0, -1]), carry


def _check(
    model: LanguageModel,
    prompt: Sequence[int],
    max_tokens: int,
    temperature: float,
    top_k: int | None,
    top_p: float,
) -> None:
    if max_tokens < 0:
        raise SpecError(f"max_tokens: {max_tokens} is negative")
    if temperature < 0:
        raise SpecError(f"temperature: {temperature} is negative; 0 takes the likeliest token")
    if top_k is not None and top_k < 1:
        raise SpecError(f"top_k: {top_k} keeps no token; use 1 or more, or leave it out")
    if not 0 < top_p <= 1:
        raise SpecError(f"top_p: {top_p} is not in (0, 1]; 1 keeps every token")
    wrong = [token for token in prompt if not 0 <= token < model.vocabulary]
    if wrong:
        raise SpecError(f"prompt: token {wrong[0]} is outside the vocabulary of {model.vocabulary}")
