"""Encoder choice: the fastest engine that proves itself on the text that is packed next."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice

from ten.data.journal import Place
from ten.data.recipe import Recipe
from ten.text.documents import read_segments
from ten.text.engines import Encoder, choose_encoder
from ten.text.flow import Flow
from ten.text.units import Unit

REFERENCE = "tokenizers"
"""The engine that the others must agree with."""
_SAMPLE_CHARACTERS = 2**17


def open_encoder(
    recipe: Recipe, unit: Unit, engine: str = "auto", begin: Place | None = None
) -> tuple[Encoder, list[str]]:
    """The fastest engine that proves itself on the tokenizer and on the first 128 Ki characters of a unit.

    The unit should be the one that is packed next, and `begin` where its packing goes on: what is fetched for the
    proof is then at hand for the packing, and nothing that is packed is fetched again.
    """
    sample = [] if engine == REFERENCE else list(_sample(recipe, unit, begin or Place()))
    return choose_encoder(recipe.tokenizer, sample, engine)


def _sample(recipe: Recipe, unit: Unit, begin: Place) -> Iterator[str]:
    left = _SAMPLE_CHARACTERS
    for number in range(begin.part, len(unit.parts)):
        part, place = unit.parts[number], begin if number == begin.part else Place()
        file, column = recipe.corpus.files[part.file], recipe.corpus.text_column
        flow, first = Flow(ahead=lambda: 0, skip_bad=recipe.skip_bad), place.segments
        segments = read_segments(file, part.part, part.parts, column, recipe.invalid_text, first=first, flow=flow)
        with closing(segments):
            wanted = None if part.records is None else part.records - place.records
            for text in islice(chain.from_iterable(segments), wanted):
                yield (text or "")[:left]
                left -= len(text or "")
                if left <= 0:
                    return
