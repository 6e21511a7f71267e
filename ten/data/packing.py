"""Packing: a unit's documents → its shard; a pure function of recipe and unit."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ten.data.journal import Journal, Place
from ten.data.recipe import Recipe
from ten.data.split import is_held_out
from ten.data.unit_tokens import UnitTokens
from ten.text.documents import BATCH_ROWS, read_segments
from ten.text.engines import Encoder, Ids
from ten.text.flow import Flow
from ten.text.units import Unit

GROWTH_TOKENS = 2**16
"""After so many new tokens a growing shard is shown to its reader."""

Growth = Callable[[Ids, NDArray[np.uint64]], None]
"""Called with the tokens of whole training documents and the positions in the shard where these end."""


def _nothing() -> None:
    """A hook that nobody uses."""


@dataclass(slots=True, kw_only=True)
class Work:
    """How one unit is packed, and what that cost; nothing of it changes the shard's bytes."""

    grow: Growth | None = None
    """Sees the training tokens while they are made."""
    pulse: Callable[[], None] = _nothing
    """Called with every record: to say that work goes on, or to end it by an exception."""
    pause: Callable[[], None] = _nothing
    """Called after each segment; may wait."""
    batch_rows: int = BATCH_ROWS
    journal: Journal | None = None
    """Keeps finished segments until the unit is whole."""
    flow: Flow = field(default_factory=Flow)
    tokenize_s: float = 0.0
    """Seconds spent in the encoder."""
    text_bytes: int = 0


def pack_unit(recipe: Recipe, unit: Unit, encoder: Encoder, work: Work | None = None) -> bytes:
    """The bytes of a unit's shard.

    Memory holds the unit's tokens, never the corpus. Raises what reading its documents raises.
    """
    work = work or Work()
    work.flow.skip_bad = recipe.skip_bad
    made, place = UnitTokens(recipe), Place()
    for harvest, content in work.journal.read() if work.journal else ():
        made.restore(content)
        made.skipped, made.bad, place = harvest.skipped, harvest.bad, harvest.place
    _show(made, work, least=1)
    for number in range(place.part, len(unit.parts)):
        _pack_part(recipe, unit, place if number == place.part else Place(part=number), encoder, made, work)
    _show(made, work, least=0)
    return made.shard(unit.index)


def _pack_part(recipe: Recipe, unit: Unit, begin: Place, encoder: Encoder, made: UnitTokens, work: Work) -> None:
    """Add what lies behind `begin` in one of the unit's parts, segment by segment."""
    part = unit.parts[begin.part]
    corpus = recipe.corpus
    records, segments, bad = begin.records, begin.segments, made.bad - work.flow.bad
    with closing(
        read_segments(
            corpus.files[part.file], part.part, part.parts, corpus.text_column, recipe.invalid_text, work.batch_rows,
            first=segments, flow=work.flow,
        )
    ) as found:  # fmt: skip
        for texts in found:
            wanted = None if part.records is None else part.records - records
            records += _take(recipe, unit, islice(texts, wanted), encoder, made, work)
            segments += 1
            made.bad = bad + work.flow.bad
            if work.journal:
                place = Place(part=begin.part, segments=segments, records=records)
                work.journal.append(place, made.skipped, made.bad, made.segment())
            _show(made, work, least=1)  # the next segment may be long in coming
            if records == part.records:
                return
            work.pause()


def _take(
    recipe: Recipe, unit: Unit, texts: Iterable[str | None], encoder: Encoder, made: UnitTokens, work: Work
) -> int:
    """Encode and add the records of a segment; how many there were."""
    set_apart = unit.index >= recipe.training_units
    records = 0
    for text in texts:
        work.pulse()
        records += 1
        if not text:
            made.skipped += 1
            continue
        raw = text.encode("utf-8", errors="surrogatepass")
        began = time.perf_counter()
        ids = encoder.encode(text)
        work.tokenize_s += time.perf_counter() - began
        work.text_bytes += len(raw)
        made.add(ids, len(raw), held_out=set_apart or is_held_out(raw, recipe.split))
        _show(made, work, least=GROWTH_TOKENS)
    return records


def _show(made: UnitTokens, work: Work, least: int) -> None:
    """Show what is new to whoever watches, when it is enough."""
    if work.grow is not None and made.unseen >= least:
        work.grow(*made.show())
