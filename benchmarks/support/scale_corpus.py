"""A corpus of 15 trillion tokens that exists as a listing only, its recipe, and the list of its shards."""

from collections.abc import Iterator

import numpy as np

from ten.data.manifest import ShardEntry
from ten.data.recipe import Recipe, make_recipe
from ten.data.shards import ShardHeader, encode_shard
from ten.text.corpus import Corpus, SourceFile
from ten.text.tokens import Tokenizer
from ten.text.units import MAX_UNIT_TEXT_BYTES

UNITS_PER_FILE = 36
UNIT_TOKENS = MAX_UNIT_TEXT_BYTES // 4
"""English has about four bytes of text a token."""
TOKEN_BYTES = 2
UNIT_DOCUMENTS = 20_000
SHARD_BYTES = UNIT_TOKENS * TOKEN_BYTES + UNIT_DOCUMENTS * 8 + 1000
"""Tokens, ends of documents, header."""
HEAD_BYTES = SHARD_BYTES - UNIT_TOKENS * TOKEN_BYTES + 2**20


def listing(files: int) -> Corpus:
    """Parquet files of 1.1 GiB, as the hub would list them; Parquet is reckoned to hold two bytes of text a byte."""
    commit = "c" * 40
    names = [f"data/{number:05d}.parquet" for number in range(files)]
    return Corpus(
        dataset="made-up",
        slug="made-up",
        revision=commit,
        text_column="text",
        files=tuple(
            SourceFile(
                name=name,
                path=f"hf://datasets/made/up@{commit}/{name}",
                bytes=UNITS_PER_FILE * MAX_UNIT_TEXT_BYTES // 2,
                probe=f"sha256:{number:064x}",
            )
            for number, name in enumerate(names)
        ),
    )


def recipe_for(corpus: Corpus) -> Recipe:
    """The recipe with a tokenizer of GPT-2's size, whose definition nobody reads here."""
    tokenizer = Tokenizer(name="gpt2", definition="{}", vocabulary=50_257, end_of_document=50_256, fingerprint="t" * 64)
    return make_recipe(corpus, tokenizer)


def entries(units: int) -> Iterator[ShardEntry]:
    """What a manifest would say of every shard."""
    for unit in range(units):
        yield ShardEntry(
            unit=unit,
            bytes=SHARD_BYTES,
            tokens=UNIT_TOKENS,
            documents=UNIT_DOCUMENTS,
            held_out_tokens=0,
            held_out_documents=0,
            skipped=0,
            sha256=f"{unit:064x}",
            head_bytes=HEAD_BYTES,
            head_sha256=f"{unit:064x}",
        )


def shard_file(recipe: Recipe, unit: int) -> bytes:
    """A shard of the usual size, of random tokens."""
    random = np.random.default_rng(unit)
    nothing = np.empty(0, dtype="<u8")
    ends = np.arange(1, UNIT_DOCUMENTS + 1, dtype="<u8") * (UNIT_TOKENS // UNIT_DOCUMENTS)
    header = ShardHeader(
        fingerprint=recipe.fingerprint,
        tokenizer=recipe.tokenizer.fingerprint,
        unit=unit,
        dtype="U16",
        tokens=UNIT_TOKENS,
        documents=UNIT_DOCUMENTS,
        held_out_tokens=0,
        held_out_documents=0,
        skipped=0,
    )
    arrays = {
        "tokens": random.integers(recipe.tokenizer.vocabulary, size=UNIT_TOKENS, dtype="<u2"),
        "document_ends": ends,
        "held_out_tokens": nothing.astype("<u2"),
        "held_out_ends": nothing,
        "held_out_bytes": nothing,
    }
    return encode_shard(header, arrays)
