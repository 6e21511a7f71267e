"""How many training tokens an epoch has: estimated from listing and a sample, so that no mode must pack to know."""

from collections.abc import Callable, Iterator, Sized
from contextlib import closing
from itertools import islice

from ten.data.recipe import Recipe
from ten.text import jsonl
from ten.text.corpus import SourceFile
from ten.text.documents import count_records, read_documents
from ten.text.flow import Flow
from ten.text.units import Part

_SAMPLED_FILES = 8
_SAMPLE_BYTES = 32 * 2**10
_HUB_SAMPLE_BYTES = 256 * 2**10


Encode = Callable[[str], Sized]


def epoch_tokens(recipe: Recipe, encode: Encode | None = None) -> int:
    """Estimated training tokens in one epoch, ends of documents included, held-out documents not.

    A pure function of the recipe: every mode, rank and attempt computes the same number (`encode` may be a faster
    engine, since all give the same ids). Exact for a corpus of few small local files; elsewhere as good as the sample:
    of local files 32 KiB from each of up to eight evenly spread, of a hub data set the start of its first file, which
    is what streaming reads first in any case.
    """
    encode = encode or recipe.tokenizer.encode
    corpus = recipe.corpus
    files = [file for file in corpus.files[: len(corpus.files) - corpus.held_out_files] if file.bytes]
    if corpus.is_pinned:
        tokens, source = _first_file(files[0], recipe, encode)
    else:
        sampled = [_sample(file, recipe, encode) for file in files[:: max(1, -(-len(files) // _SAMPLED_FILES))]]
        tokens, source = sum(count for count, _ in sampled), sum(size for _, size in sampled)
    kept = 1 - recipe.split.documents_per_million / 1e6
    if not corpus.held_out_files:
        kept -= recipe.split.units / max(1, len(recipe.units))
    return round(tokens / max(1.0, source) * _covered_bytes(recipe) * kept)


def _first_file(file: SourceFile, recipe: Recipe, encode: Encode) -> tuple[float, float]:
    """Tokens in the first row group of a Parquet file, judged by 256 KiB of its text, and the bytes it takes there."""
    from ten.text.parquet import first_group

    if file.format != ".parquet" or (group := first_group(file)) is None:
        return _sample(file, recipe, encode, _HUB_SAMPLE_BYTES)
    records, group_bytes = group
    texts = [text for text in islice(_texts(file, recipe), records) if text]
    tokens = characters = 0
    for text in texts:
        tokens += len(encode(text))
        characters += len(text)
        if characters >= _HUB_SAMPLE_BYTES:
            break
    return tokens / max(1, characters) * sum(map(len, texts)) + len(texts), float(group_bytes)


def _covered_bytes(recipe: Recipe) -> float:
    """Bytes of the files, or of those parts of them, that the units cover; files that are held out do not count."""
    parts: dict[int, list[Part]] = {}
    for unit in recipe.units[: recipe.training_units] if recipe.corpus.held_out_files else recipe.units:
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
    limited = [part.records for part in parts if part.records is not None]
    whole = max(1.0, _records(file, max(limited))) if limited else 1.0
    return sum(1 / part.parts if part.records is None else part.records / whole for part in parts)


def _sample(file: SourceFile, recipe: Recipe, encode: Encode, sample_bytes: int = _SAMPLE_BYTES) -> tuple[float, float]:
    """Tokens of the first documents of a file, and the bytes that these documents take in it."""
    tokens = records = size = 0
    for text in islice(_texts(file, recipe), 10_000):
        records += 1
        if text:
            piece = text[:sample_bytes]
            tokens += round(len(encode(piece)) * len(text) / len(piece)) + 1
            size += len(text)
        if size >= sample_bytes:
            break
    return tokens, file.bytes * min(1.0, records / max(1, _records(file, records)))


def _texts(file: SourceFile, recipe: Recipe) -> Iterator[str | None]:
    flow = Flow(ahead=lambda: 0, skip_bad=recipe.skip_bad)
    column, invalid = recipe.corpus.text_column, recipe.invalid_text
    with closing(read_documents(file, column=column, invalid=invalid, flow=flow)) as texts:
        yield from texts


def _records(file: SourceFile, seen: int) -> float:
    """Records in a file: counted where that is free, else estimated from the bytes of those seen."""
    if file.format.startswith(".jsonl"):
        return jsonl.estimate_lines(file, seen)
    return count_records(file)
