"""Recipe: everything that decides the bytes of a pack's shards, and the fingerprint over it."""

import hashlib
from functools import partial
from pathlib import Path

import msgspec

from ten.data.corpus import Corpus, list_corpus
from ten.data.documents import count_records, text_column
from ten.data.split import Split, plan_split
from ten.data.text import InvalidText
from ten.data.tokens import Tokenizer
from ten.data.units import Part, Unit, first_records, plan_units, text_bytes

PACKER_VERSION = 1
"""Raised when the same recipe would give other bytes."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What to pack and how. Two equal recipes give the same shards to the bit, on any machine."""

    corpus: Corpus
    units: tuple[Unit, ...]
    split: Split
    tokenizer: Tokenizer
    invalid_text: InvalidText = "error"
    fingerprint: str = ""

    @property
    def pack_name(self) -> str:
        """The pack's folder below `packs/`."""
        return f"{self.corpus.slug}-{self.fingerprint[:12]}"

    @property
    def dtype(self) -> str:
        """Of the tokens: U16 where the vocabulary fits, else U32."""
        return "U16" if self.tokenizer.vocabulary <= 2**16 else "U32"

    @property
    def training_units(self) -> int:
        """Units that hold training documents: all but those set apart at the end."""
        return len(self.units) - self.split.units


def open_corpus(dataset: str, column: str | None = None, ignoring: Path | None = None) -> Corpus:
    """A dataset's listing with its text column settled by the first file that has one."""
    corpus = list_corpus(dataset, ignoring)
    for file in corpus.files:
        if file.bytes and (found := text_column(file, column)) is not None:
            return msgspec.structs.replace(corpus, text_column=found)
    return corpus


def make_recipe(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    subset_size: int | None = None,
    invalid_text: InvalidText = "error",
    split: Split | None = None,
) -> Recipe:
    """The recipe for a corpus, or for its first `subset_size` records in order; `split` replaces the planned."""
    units = plan_units(corpus.files)
    if subset_size is not None:
        units = first_records(units, subset_size, partial(_count, corpus))
    sizes = [sum(text_bytes(corpus.files[part.file]) / part.parts for part in unit.parts) for unit in units]
    recipe = Recipe(
        corpus=corpus,
        units=units,
        split=split or plan_split(sizes),
        tokenizer=tokenizer,
        invalid_text=invalid_text,
    )
    return msgspec.structs.replace(recipe, fingerprint=_fingerprint(recipe))


def _count(corpus: Corpus, part: Part, limit: int) -> int:
    return count_records(corpus.files[part.file], part.part, part.parts, limit)


def _fingerprint(recipe: Recipe) -> str:
    content = [
        PACKER_VERSION,
        recipe.corpus.fingerprint,
        recipe.tokenizer.fingerprint,
        recipe.tokenizer.end_of_document,
        recipe.invalid_text,
        recipe.split,
        recipe.units,
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
