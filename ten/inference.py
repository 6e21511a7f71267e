"""What a trained run is good for: its held-out loss on any text, and text of its own."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ten import logs
from ten.errors import DataError, MissingInput
from ten.feeding import open_fill, open_held_out
from ten.preparation import Preparation
from ten.runs import Run
from ten.text.tokens import Tokenizer
from ten.train.checkpoint_files import find_newest
from ten.train.context import ContextLoss
from ten.units import format_count

if TYPE_CHECKING:
    from ten.model.lm import LanguageModel

log = logging.getLogger(__name__)
_SLOW_S = 2.0
"""What takes longer is said."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Held-out loss of one checkpoint."""

    run: str
    checkpoint: str
    dataset: str
    bits_per_byte: float
    bits_per_token: float
    perplexity: float
    """Per token: 2 to the bits; comparable between models of one tokenizer only."""
    tokens: int
    text_bytes: int
    by_context: tuple[ContextLoss, ...]


def evaluate(job: Preparation, run: Run) -> Evaluation:
    """Score a run's newest sound checkpoint on the held-out documents of a job's dataset.

    Raises DataError when the dataset has none.
    """
    with logs.said_when_slow(log, _SLOW_S, "loading the model of run %s", run.record.run):
        from ten.train.device import autocast, open_device, resolve_precision
        from ten.train.distributed import World
        from ten.train.evaluate import held_out_loss

        device = open_device(job.spec.train.device)
        precision = resolve_precision(job.spec.train.precision, device)
        model, checkpoint = load_model(run)
    with ExitStack() as stack:
        with logs.said_when_slow(log, _SLOW_S, "reading the held-out text of %s", job.spec.data.dataset):
            fill = open_fill(job)
            stack.callback(fill.close)
            held_out = open_held_out(job, fill)
            text_bytes = held_out.text_bytes
        if not text_bytes:
            raise DataError(
                f"{job.corpus.dataset}: too few documents to hold any out, so there is nothing to score; name other "
                "text with `ten eval --dataset TEXT`, or train on a dataset with a validation split"
            )
        loss = held_out_loss(
            model.to(device),
            held_out,
            world=World(device=device),
            autocast=partial(autocast, precision, device),
            scored=stack.enter_context(_shown(held_out.tokens)),
        )
    assert loss is not None, "nothing asks this evaluation to stop"
    return Evaluation(
        run=run.record.run,
        checkpoint=checkpoint.name,
        dataset=job.corpus.dataset,
        bits_per_byte=loss.bits_per_byte,
        bits_per_token=loss.bits / held_out.tokens,
        perplexity=2 ** (loss.bits / held_out.tokens),
        tokens=held_out.tokens,
        text_bytes=text_bytes,
        by_context=loss.by_context,
    )


@contextmanager
def _shown(tokens: int) -> Iterator[Callable[[int], object]]:
    """Shows the scoring of so many tokens: a bar on a terminal, lines elsewhere; told of each few of them."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        bar.update(count)

    def tell() -> None:
        log.info("eval: %s of %s tokens scored", format_count(done), format_count(tokens))

    with (
        logs.progress("eval", tokens, " tokens") as bar,
        logs.said_when_slow(log, _SLOW_S, "scoring %s tokens of held-out text", format_count(tokens)),
        logs.reporting(bar, tell),
    ):
        yield advance


def describe(result: Evaluation) -> str:
    """An evaluation for people: one line, and the loss by context."""
    return (
        f"{result.run} {result.checkpoint} on {result.dataset}: {result.bits_per_byte:.4f} bits per byte "
        f"({result.bits_per_token:.4f} per token, perplexity {result.perplexity:.2f} per token, "
        f"{format_count(result.tokens)} tokens of held-out text)\n"
        f"bits per token by tokens of context: {'  '.join(map(str, result.by_context))}"
    )


def load_model(run: Run) -> "tuple[LanguageModel, Path]":
    """A run's model with the weights of its newest sound checkpoint, and that checkpoint's folder."""
    from ten.model.lm import LanguageModel
    from ten.train.named_tensors import load_weights

    checkpoint = find_newest(run.checkpoints)
    if checkpoint is None:
        raise MissingInput(f"{run.folder}: no checkpoint yet; `ten train` writes one")
    model = LanguageModel(Preparation(run.job).model, run.tokenizer().vocabulary)
    load_weights(model, checkpoint)
    return model.eval(), checkpoint


def generate(
    run: Run, prompt: str, *, max_tokens: int, temperature: float, top_k: int | None, top_p: float, seed: int
) -> Iterator[str]:
    """Text that a run's model writes after `prompt`, piece by piece; the model is loaded before this returns."""
    with logs.said_when_slow(log, _SLOW_S, "loading the model of run %s", run.record.run):
        from ten.model.generate import generate as draw
        from ten.train.device import open_device

        tokenizer, (model, _) = run.tokenizer(), load_model(run)
        model.to(open_device("auto"))
    ids = tokenizer.encode(prompt)
    tokens = draw(
        model,
        list(ids),
        max_tokens=max_tokens,
        end_of_document=tokenizer.end_of_document,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    return _pieces(tokenizer, list(ids), tokens)


def _pieces(tokenizer: Tokenizer, ids: list[int], tokens: Iterator[int]) -> Iterator[str]:
    """The text of `tokens` behind that of `ids`, as whole characters."""
    shown = tokenizer.decode(ids)
    for token in tokens:
        ids.append(token)
        text = tokenizer.decode(ids)
        if not text.endswith("�"):  # a character may take several tokens
            yield text[len(shown) :]
            shown = text
    yield tokenizer.decode(ids)[len(shown) :]
