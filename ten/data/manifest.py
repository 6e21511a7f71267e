"""Manifest: the list of a finished pack's shards, written last; what makes a pack complete."""

import hashlib

import msgspec

from ten.data.recipe import Recipe
from ten.data.shards import ShardHeader
from ten.errors import DataError

FORMAT = 1


class ShardEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One shard of a pack."""

    unit: int
    bytes: int
    tokens: int
    documents: int
    held_out_tokens: int
    held_out_documents: int
    skipped: int
    bad: int = 0
    sha256: str
    """Of the whole file."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack holds and what it was made from."""

    format: int = FORMAT
    dataset: str
    revision: str
    fingerprint: str
    tokenizer: str
    tokenizer_fingerprint: str
    vocabulary: int
    end_of_document: int
    epoch_tokens: int = 0
    """Training tokens in an epoch as every mode reckons them (`estimate.epoch_tokens`); 0 where that is not known."""
    shards: tuple[ShardEntry, ...]

    @property
    def tokens(self) -> int:
        """Training tokens in all shards."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def documents(self) -> int:
        """Training documents in all shards."""
        return sum(shard.documents for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)


def make_entry(header: ShardHeader, data: bytes | memoryview) -> ShardEntry:
    """The manifest's entry for a shard file's bytes."""
    return ShardEntry(
        unit=header.unit,
        bytes=len(data),
        tokens=header.tokens,
        documents=header.documents,
        held_out_tokens=header.held_out_tokens,
        held_out_documents=header.held_out_documents,
        skipped=header.skipped,
        bad=header.bad,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def make_manifest(recipe: Recipe, entries: list[ShardEntry], epoch_tokens: int = 0) -> Manifest:
    """The manifest of a recipe's pack once every unit is packed."""
    if sorted(entry.unit for entry in entries) != list(range(len(recipe.units))):
        raise ValueError(f"a manifest lists all {len(recipe.units)} units once")
    return Manifest(
        dataset=recipe.corpus.dataset,
        revision=recipe.corpus.revision,
        fingerprint=recipe.fingerprint,
        tokenizer=recipe.tokenizer.name,
        tokenizer_fingerprint=recipe.tokenizer.fingerprint,
        vocabulary=recipe.tokenizer.vocabulary,
        end_of_document=recipe.tokenizer.end_of_document,
        epoch_tokens=epoch_tokens,
        shards=tuple(sorted(entries, key=lambda entry: entry.unit)),
    )


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest as indented JSON, so that people can read it and tell two apart."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse_manifest(data: bytes, name: str, recipe: Recipe | None = None) -> Manifest:
    """A manifest from its bytes, called `name` in errors; checked against `recipe` when given.

    Raises DataError when it is damaged, of another version, or made with another tokenizer or corpus.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: no manifest ({error}); `ten pack` with the same settings writes it anew") from None
    if manifest.format != FORMAT:
        raise DataError(f"{name}: manifest format {manifest.format}, and this version reads {FORMAT}; pack again")
    if recipe is None:
        return manifest
    if manifest.tokenizer_fingerprint != recipe.tokenizer.fingerprint:
        raise DataError(
            f"{name}: packed with tokenizer {manifest.tokenizer} ({manifest.tokenizer_fingerprint[:12]}), and this job "
            f"uses {recipe.tokenizer.name} ({recipe.tokenizer.fingerprint[:12]}); use that tokenizer, or pack again"
        )
    if manifest.fingerprint != recipe.fingerprint:
        raise DataError(
            f"{name}: made from {manifest.dataset} ({manifest.revision}, {manifest.fingerprint[:12]}), and this job "
            f"reads {recipe.corpus.dataset} ({recipe.corpus.revision}, {recipe.fingerprint[:12]}); pack again"
        )
    return manifest
