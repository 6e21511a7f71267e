"""The held-out split: fixed by the corpus, never by the seed; no training row ever comes from it."""

import zlib

import msgspec

_MANY_UNITS = 64
_HELD_OUT_BYTES = 4 * 2**20
_LEAST, _MOST = 0.005, 0.03


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """What is set apart before packing: a share of all documents, or whole units at the end of the listing."""

    documents_per_million: int = 0
    units: int = 0


def plan_split(units: int, text_bytes: float) -> Split:
    """A corpus of many units gives its last one; a smaller one gives single documents, some 4 MiB of text."""
    if units >= _MANY_UNITS:
        return Split(units=1)
    share = min(_MOST, max(_LEAST, _HELD_OUT_BYTES / max(text_bytes, 1.0)))
    return Split(documents_per_million=round(share * 1e6))


def is_held_out(text: bytes, split: Split) -> bool:
    """Whether a document (its UTF-8 bytes) is set apart: decided by its content, so that copies stay together."""
    return zlib.crc32(text) % 1_000_000 < split.documents_per_million
