"""Volume: the bytes a job downloads, packs and keeps, from what is known before it begins. Integers alone."""

import msgspec

from ten.job import Mode


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job's tokens come from."""

    mode: Mode
    is_packed: bool
    at_hub: bool
    """Whether the dataset's files are a hub's."""
    in_object_store: bool
    """Whether packs are kept in a store that is no folder."""
    corpus_bytes: int
    raw_bytes: int
    """Of files that are fetched whole and stay."""
    pack_bytes: int
    """Of all shards."""
    cache_limit: int | None
    """Most bytes of shards that may lie on this disk."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, at most: what is here already is not looked for."""

    download: int
    pack: int
    keep: int


def volume(source: Source, *, tokens: int, epoch_tokens: int, checkpoint_bytes: int) -> Volume:
    """The bytes of a job that trains on so many tokens and keeps so many bytes of checkpoints."""
    reads_all = source.mode in ("full", "pack") or tokens >= epoch_tokens
    shards = source.pack_bytes if reads_all else _part(source.pack_bytes, tokens, epoch_tokens)
    is_made_elsewhere = source.is_packed or source.mode == "pretok"
    if is_made_elsewhere:
        pulls = source.in_object_store and source.mode != "pack"
        download = shards if pulls else 0
    elif source.raw_bytes or not source.at_hub:
        download = source.raw_bytes
    else:
        download = source.corpus_bytes if reads_all else _part(source.corpus_bytes, tokens, epoch_tokens)
    kept = source.pack_bytes if is_made_elsewhere and not source.in_object_store else shards
    if source.cache_limit is not None and (source.in_object_store or source.mode == "streaming"):
        kept = min(kept, source.cache_limit)
    trains = 0 if source.mode == "pack" else checkpoint_bytes
    return Volume(download=download, pack=0 if is_made_elsewhere else shards, keep=kept + source.raw_bytes + trains)


def _part(whole: int, tokens: int, epoch_tokens: int) -> int:
    """The part of `whole` bytes that some tokens of an epoch are, rounded up."""
    return -(-whole * tokens // epoch_tokens)
