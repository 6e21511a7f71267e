"""The held-out split: fixed by the corpus, never by the seed; no training row ever comes from it."""

import zlib
from collections.abc import Sequence

import msgspec

LARGE_CORPUS_BYTES = 4 * 2**30
_HELD_OUT_BYTES = 4 * 2**20
_LEAST, _MOST = 0.005, 0.03


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """What is set apart before packing: a share of all documents, or whole units at the end of the listing."""

    documents_per_million: int = 0
    units: int = 0


WHOLE = Split(documents_per_million=1_000_000)
"""Everything is held out: text that is only scored."""


def plan_split(unit_text_bytes: Sequence[float]) -> Split:
    """The split of a corpus whose units hold about so many bytes of text each.

    From 4 GiB on, units at the end of the listing are set apart until they hold 4 MiB, so that an evaluation opens
    few units. A smaller corpus gives single documents, some 4 MiB of them as well.
    """
    whole = sum(unit_text_bytes)
    if whole < LARGE_CORPUS_BYTES:
        share = min(_MOST, max(_LEAST, _HELD_OUT_BYTES / max(whole, 1.0)))
        return Split(documents_per_million=round(share * 1e6))
    units, held = 0, 0.0
    while held < _HELD_OUT_BYTES:
        units += 1
        held += unit_text_bytes[-units]
    return Split(units=units)


def is_held_out(text: bytes, split: Split) -> bool:
    """Whether a document (its UTF-8 bytes) is set apart: decided by its content, so that copies stay together."""
    return zlib.crc32(text) % 1_000_000 < split.documents_per_million
