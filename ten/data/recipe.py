"""Recipe: everything that decides the bytes of a pack's shards, and the fingerprint over it."""

import hashlib
from functools import partial

import msgspec

from ten.data.split import Split, plan_split
from ten.text.corpus import Corpus
from ten.text.documents import count_records
from ten.text.plain import InvalidText
from ten.text.tokens import Tokenizer
from ten.text.units import Part, Unit, first_records, plan_units, text_bytes

PACKER_VERSION = 2
"""Raised when the same recipe would give other bytes."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What to pack and how. Two equal recipes give the same shards to the bit, on any machine."""

    corpus: Corpus
    units: tuple[Unit, ...]
    split: Split
    tokenizer: Tokenizer
    invalid_text: InvalidText = "error"
    skip_bad: bool = False
    """Whether Parquet row groups that do not decode are left out and counted."""
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


def make_recipe(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    training: tuple[Unit, ...] | None = None,
    invalid_text: InvalidText = "error",
    skip_bad: bool = False,
    split: Split | None = None,
) -> Recipe:
    """The recipe for a corpus, or for those units of its training files that `subset_units` chose.

    A corpus with held-out files of its own has these set apart, whole; `split` replaces what is planned.
    """
    everything, held_out = _divide(corpus)
    parts = (*(everything if training is None else training), *held_out)
    units = tuple(
        unit if unit.index == index else msgspec.structs.replace(unit, index=index) for index, unit in enumerate(parts)
    )
    sizes = [sum(text_bytes(corpus.files[part.file]) / part.parts for part in unit.parts) for unit in units]
    recipe = Recipe(
        corpus=corpus,
        units=units,
        split=split or (Split(units=len(held_out)) if held_out else plan_split(sizes)),
        tokenizer=tokenizer,
        invalid_text=invalid_text,
        skip_bad=skip_bad,
    )
    return msgspec.structs.replace(recipe, fingerprint=_fingerprint(recipe))


def subset_units(corpus: Corpus, records: int) -> tuple[Unit, ...]:
    """The units of the first so many training records in order; reads as much as it takes to count them."""
    return first_records(_divide(corpus)[0], records, partial(_count, corpus))


def _divide(corpus: Corpus) -> tuple[tuple[Unit, ...], tuple[Unit, ...]]:
    """Units of the training files, and of those that the dataset itself holds out."""
    units = plan_units(corpus.files, corpus.held_out_files)
    first = len(corpus.files) - corpus.held_out_files
    training = tuple(unit for unit in units if unit.parts[0].file < first)
    return training, units[len(training) :]


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
        *(["skip_bad"] if recipe.skip_bad else []),
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
