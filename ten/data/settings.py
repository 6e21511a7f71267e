"""What a job file says about data (`data:`)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ten.data.corpus import STDLIB
from ten.data.documents import BATCH_ROWS
from ten.data.text import InvalidText
from ten.settings import Positive

Engine = Literal["auto", "gigatoken", "fastokens", "tiktoken", "tokenizers"]


class DataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which text, which tokenizer, how long a row is."""

    dataset: Annotated[
        str, Meta(description="A file, folder or glob of .parquet .jsonl .jsonl.gz .jsonl.zst .txt files, or stdlib.")
    ] = STDLIB
    text_column: Annotated[
        str | None, Meta(description="Column or key that holds the text; unset: text, or the only one of strings.")
    ] = None
    tokenizer: Annotated[
        str,
        Meta(
            description="gpt2, the path of a tokenizer.json, or bpe:SIZE to train one on the corpus; "
            "auto: bpe:4096 for stdlib, gpt2 for anything else."
        ),
    ] = "auto"
    end_of_document: Annotated[
        str | None, Meta(description="Token that closes each document; unset: the tokenizer's usual one.")
    ] = None
    seq_len: Annotated[Positive | None, Meta(description="Tokens the model sees per row; unset: the preset's.")] = None
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="Seed of the reading order.")] = 0
    subset_size: Annotated[
        Positive | None, Meta(description="Use only the first so many records of the listing, in every mode alike.")
    ] = None
    invalid_text: Annotated[InvalidText, Meta(description="Bytes that are not UTF-8: error, or replace by U+FFFD.")] = (
        "error"
    )
    reset_carry: Annotated[bool, Meta(description="Start every document with an empty carry.")] = True
    pack_threads: Annotated[int, Meta(ge=1, le=256, description="Units packed side by side.")] = 2
    batch_size: Annotated[int, Meta(ge=1, le=100_000, description="Records read at a time from Parquet.")] = BATCH_ROWS
    engine: Annotated[
        Engine, Meta(description="Encoder to try first; each must prove that it gives the ids of tokenizers.")
    ] = "auto"
    cache_dir: Annotated[
        str | None, Meta(description="Folder for shards and trained tokenizers in front of the store.")
    ] = None
