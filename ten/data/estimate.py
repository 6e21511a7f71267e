"""How many training tokens an epoch has: estimated from listing and a sample, so that no mode must pack to know."""

from collections.abc import Iterator
from itertools import islice

from ten.data import jsonl
from ten.data.corpus import SourceFile
from ten.data.documents import count_records, read_documents
from ten.data.recipe import Recipe
from ten.data.units import Part

_SAMPLED_FILES = 8
_SAMPLE_BYTES = 32 * 2**10


def epoch_tokens(recipe: Recipe) -> int:
    """Estimated training tokens in one epoch, ends of documents included, held-out documents not.

    A pure function of the recipe: every mode, rank and attempt computes the same number. Exact for a corpus of few
    small files; elsewhere as good as the sample, which is 32 KiB from each of up to eight files evenly spread.
    """
    covered = _covered_bytes(recipe)
    files = [file for file in recipe.corpus.files if file.bytes]
    sample = files[:: max(1, -(-len(files) // _SAMPLED_FILES))]
    tokens = source = 0.0
    for file in sample:
        count, share = _sample(file, recipe)
        tokens += count
        source += share * file.bytes
    kept = 1 - recipe.split.documents_per_million / 1e6 - recipe.split.units / max(1, len(recipe.units))
    return round(tokens / max(1.0, source) * covered * kept)


def _covered_bytes(recipe: Recipe) -> float:
    """Bytes of the files, or of those parts of them, that the units cover."""
    parts: dict[int, list[Part]] = {}
    for unit in recipe.units:
        for part in unit.parts:
            parts.setdefault(part.file, []).append(part)
    return sum(recipe.corpus.files[number].bytes * _share(recipe, some) for number, some in parts.items())


def _share(recipe: Recipe, parts: list[Part]) -> float:
    """How much of a file some of its parts are."""
    file = recipe.corpus.files[parts[0].file]
    if len(parts) == parts[0].parts and all(part.records is None for part in parts):
        return 1.0
    if file.format == ".parquet":  # its parts are whole row groups and differ in size, and its footer counts for free
        taken = [part.records or count_records(file, part.part, part.parts) for part in parts]
        return sum(taken) / max(1, count_records(file))
    whole = _records(file, max(part.records or 0 for part in parts))
    return sum(1 / part.parts if part.records is None else part.records / max(1.0, whole) for part in parts)


def _sample(file: SourceFile, recipe: Recipe) -> tuple[int, float]:
    """Tokens of the first documents of a file, and the part of the file these documents are."""
    tokens = records = size = 0
    for text in islice(_texts(file, recipe), 10_000):
        records += 1
        if text:
            piece = text[:_SAMPLE_BYTES]
            tokens += round(len(recipe.tokenizer.encode(piece)) * len(text) / len(piece)) + 1
            size += len(text)
        if size >= _SAMPLE_BYTES:
            break
    return tokens, min(1.0, records / max(1, _records(file, records)))


def _texts(file: SourceFile, recipe: Recipe) -> Iterator[str | None]:
    yield from read_documents(file, column=recipe.corpus.text_column, invalid=recipe.invalid_text)


def _records(file: SourceFile, seen: int) -> float:
    """Records in a file: counted where that is free, else estimated from the bytes of those seen."""
    if file.format.startswith(".jsonl"):
        return jsonl.estimate_lines(file, seen)
    return count_records(file)
