"""What a job file says about data (`data:`)."""

from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ten.settings import Positive
from ten.text.corpus import STDLIB
from ten.text.documents import BATCH_ROWS
from ten.text.plain import InvalidText
from ten.units import named, parse_bytes

Engine = Literal["auto", "gigatoken", "fastokens", "tiktoken", "tokenizers"]


class DataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which text, which tokenizer, how long a row is."""

    dataset: Annotated[
        str,
        Meta(
            description="A registered name (finewebedu, openwebtext, pg19, wikitext-103, imdb, ag_news, tinystories), "
            "the hub's namespace/repo[:config], a file, folder or glob of .parquet .jsonl .jsonl.gz .jsonl.zst .txt "
            ".csv .tsv .json .arrow files, or stdlib."
        ),
    ] = STDLIB
    revision: Annotated[
        str | None,
        Meta(description="Branch, tag or commit of a hub dataset; unset: main as it is when first used, then pinned."),
    ] = None
    split: Annotated[str | None, Meta(description="Split of a hub dataset to train on; unset: train.")] = None
    text_column: Annotated[
        str | None, Meta(description="Column or key that holds the text; unset: text, or the only one of strings.")
    ] = None
    tokenizer: Annotated[
        str,
        Meta(
            description="gpt2, the path of a tokenizer.json, the hub's namespace/repo[@revision], or bpe:SIZE to "
            "train one on the corpus; auto: bpe:4096 for stdlib, gpt2 for anything else."
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
    skip_bad: Annotated[
        bool,
        Meta(description="Parquet row groups that do not decode: skip and count them instead of stopping."),
    ] = False
    reset_carry: Annotated[bool, Meta(description="Start every document with an empty carry.")] = True
    pack_threads: Annotated[int, Meta(ge=1, le=256, description="Units packed side by side.")] = 2
    batch_size: Annotated[int, Meta(ge=1, le=100_000, description="Records read at a time from Parquet.")] = BATCH_ROWS
    engine: Annotated[
        Engine, Meta(description="Encoder to try first; each must prove that it gives the ids of tokenizers.")
    ] = "auto"
    cache_dir: Annotated[
        str | None,
        Meta(description="Folder for shards and trained tokenizers in front of the store; unset: TEN_CACHE_DIR."),
    ] = None
    keep_files: Annotated[
        bool, Meta(description="Keep the raw files of a hub dataset under cache_dir when packing.")
    ] = False
    cache_limit: Annotated[
        str | int | None,
        Meta(
            description="Most bytes of shards kept on this disk while streaming or in front of an object store, such "
            "as 40GB; unset: the free space less room for the checkpoints kept."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse a limit that is no size."""
        if self.cache_limit is not None:
            named("data.cache_limit", partial(parse_bytes, self.cache_limit))
