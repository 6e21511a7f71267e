"""samples.jsonl: what the model writes after some prompts at every evaluation, a line a prompt (torch)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ten.model.generate import generate
from ten.store.durable import write_atomically, writing
from ten.train.backward import Autocast
from ten.train.beside import SAMPLES
from ten.train.device import autocast_of
from ten.train.distributed import World
from ten.train.settings import TrainSettings

if TYPE_CHECKING:
    from ten.model.lm import LanguageModel
    from ten.text.tokens import Tokenizer

log = logging.getLogger(__name__)
_TOP_P = 0.95


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    step: int
    tokens: int
    """That the run had trained on."""
    prompt: str
    text: str


def open_sampler(
    settings: TrainSettings, folder: Path, step: int, model: LanguageModel, tokenizer: Tokenizer, world: World
) -> Sampler | None:
    """On rank 0, of a run with prompts; not where drawing a token would want all ranks."""
    if not settings.prompts or not world.is_first:
        return None
    if world.in_step:
        log.warning("train.prompts: a model that is shared out over ranks writes no samples while it trains")
        return None
    return Sampler(folder, step, model, tokenizer, settings, autocast_of(settings, world.device))


class Sampler:
    """Lets the model go on with `train.prompts`, the same draw at every step, and keeps what it wrote.

    Opening it for a run that stands at `step` drops the lines of later steps and a torn last line.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        model: LanguageModel,
        tokenizer: Tokenizer,
        settings: TrainSettings,
        autocast: Autocast,
    ) -> None:
        self._path, self._model, self._tokenizer = folder / SAMPLES, model, tokenizer
        self._prompts, self._length, self._autocast = settings.prompts, settings.sample_tokens, autocast
        if self._path.exists():
            kept = [line for line in self._path.read_bytes().split(b"\n") if _is_until(line, step)]
            write_atomically(self._path, b"".join(line + b"\n" for line in kept))

    def take(self, step: int, tokens: int) -> None:
        """Append a sample of every prompt. The model returns to the mode it was in."""
        training = self._model.training
        self._model.eval()
        try:
            with self._autocast():
                lines = [
                    msgspec.json.encode(Sample(step=step, tokens=tokens, prompt=prompt, text=self._text(prompt)))
                    for prompt in self._prompts
                ]
        finally:
            self._model.train(training)
        with writing(self._path), self._path.open("ab", buffering=0) as file:
            file.write(b"".join(line + b"\n" for line in lines))

    def _text(self, prompt: str) -> str:
        ids = self._tokenizer.encode(prompt)
        end = self._tokenizer.end_of_document
        drawn = generate(self._model, ids, max_tokens=self._length, end_of_document=end, top_p=_TOP_P)
        return self._tokenizer.decode(list(drawn))


def _is_until(line: bytes, step: int) -> bool:
    try:
        return msgspec.json.decode(line, type=Sample).step <= step
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
