"""Units: which part of which file becomes which shard; known from the file listing alone."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from ten.text.corpus import SourceFile

MAX_UNIT_TEXT_BYTES = 64 * 2**20
"""About 16 million tokens of English, 32 MiB in a shard."""
_MIN_UNIT_TEXT_BYTES = 256 * 2**10
_UNITS_WANTED = 32
_TEXT_PER_BYTE = {".parquet": 2.0, ".jsonl.gz": 3.5, ".jsonl.zst": 3.5}
"""Rough bytes of text in a byte of file: it only balances units, no result depends on its truth."""


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Part `part` of `parts` of file number `file`; at most `records` records of it when given."""

    file: int
    part: int = 0
    parts: int = 1
    records: int | None = None


class Unit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one shard is made of."""

    index: int
    parts: tuple[Part, ...]


def plan_units(files: Sequence[SourceFile], held_out_files: int = 0) -> tuple[Unit, ...]:
    """All units of a corpus, in listing order; none holds parts of both the last `held_out_files` and the others.

    A unit aims at 64 MiB of text, less for a small corpus: it is cut into some 32 units, so that its rows can be
    shuffled and packed in parallel. Large Parquet and plain JSONL files are split, small files are grouped.
    """
    target = unit_text_bytes(files)
    units: list[Unit] = []
    group: list[Part] = []
    weight = 0.0
    for number, file in enumerate(files):
        parts = _parts(file, target)
        is_boundary = number == len(files) - held_out_files
        if group and (is_boundary or len(parts) > 1 or weight + text_bytes(file) > target):
            units.append(Unit(index=len(units), parts=tuple(group)))
            group, weight = [], 0.0
        if len(parts) > 1:
            for part in parts:
                units.append(Unit(index=len(units), parts=(Part(file=number, part=part, parts=len(parts)),)))
        else:
            group.append(Part(file=number))
            weight += text_bytes(file)
    if group:
        units.append(Unit(index=len(units), parts=tuple(group)))
    return tuple(units)


def unit_text_bytes(files: Sequence[SourceFile]) -> int:
    """Bytes of text a unit of this corpus aims at."""
    whole = sum(text_bytes(file) for file in files)
    return min(MAX_UNIT_TEXT_BYTES, max(_MIN_UNIT_TEXT_BYTES, round(whole / _UNITS_WANTED)))


@lru_cache(2**16)
def text_bytes(file: SourceFile) -> float:
    """Estimated bytes of text in a file."""
    return file.bytes * _TEXT_PER_BYTE.get(file.format, 1.0)


def first_records(units: Sequence[Unit], limit: int, count: Callable[[Part, int], int]) -> tuple[Unit, ...]:
    """The units that hold the first `limit` records of the corpus, the last part cut to size.

    `count` gives the records of a part, and may stop counting at the number it is given; it is asked only as far as
    needed.
    """
    kept: list[Unit] = []
    left, is_whole = limit, True
    for unit in units:
        parts: list[Part] = []
        for part in unit.parts:
            records = count(part, left + 1)
            is_whole = records <= left  # an empty part is, so that all records of a corpus are the corpus
            if is_whole or left:
                parts.append(part if is_whole else msgspec.structs.replace(part, records=left))
            left -= min(left, records)
            if not is_whole:
                break
        if parts:
            kept.append(Unit(index=len(kept), parts=tuple(parts)))
        if not is_whole:
            break
    return tuple(kept)


def _parts(file: SourceFile, target: int) -> range:
    if file.format not in (".parquet", ".jsonl"):
        return range(1)
    return range(max(1, -(-round(text_bytes(file)) // target)))
