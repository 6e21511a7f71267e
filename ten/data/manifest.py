"""Manifest: the list of a finished pack's shards, written last; what makes a pack complete."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec

from ten.data.recipe import Recipe
from ten.data.shards import ShardHeader, head_bytes
from ten.errors import DataError

FORMAT = 2
PAGE_UNITS = 1024
"""Shards in a page; a pack of no more lists them in manifest.json itself."""


class ShardEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    head_bytes: int = 0
    """Length of the file's beginning that is enough to train on its first tokens."""
    head_sha256: str = ""
    """Of that beginning."""


class PageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a large pack's list: the shards of `units` units from unit `first` on."""

    first: int
    units: int
    bytes: int
    """Of the page, not of its shards."""
    sha256: str


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
    units: int
    """Shards of the pack; what follows counts all of them."""
    bytes: int
    tokens: int
    """For training, as the documents."""
    documents: int
    held_out_tokens: int
    held_out_documents: int
    skipped: int
    bad: int
    shards: tuple[ShardEntry, ...] = ()
    """All shards, where a page holds them; else they are in the pages."""
    first: ShardEntry | None = None
    """Where there are pages the shard of unit 0, so that nobody waits for one to read the first rows."""
    pages: tuple[PageEntry, ...] = ()

    def lists_same(self, other: "Manifest") -> bool:
        """Whether both list the same shards, to the bit."""
        return (self.shards, self.pages) == (other.shards, other.pages)


_TOTALS = ("bytes", "tokens", "documents", "held_out_tokens", "held_out_documents", "skipped", "bad")


def make_entry(header: ShardHeader, data: bytes | memoryview) -> ShardEntry:
    """The manifest's entry for a shard file's bytes."""
    whole, size = memoryview(data), head_bytes(header)
    digest = hashlib.sha256(whole[:size])
    head_sha256 = digest.hexdigest()
    digest.update(whole[size:])
    return ShardEntry(
        unit=header.unit,
        bytes=len(data),
        tokens=header.tokens,
        documents=header.documents,
        held_out_tokens=header.held_out_tokens,
        held_out_documents=header.held_out_documents,
        skipped=header.skipped,
        bad=header.bad,
        sha256=digest.hexdigest(),
        head_bytes=size,
        head_sha256=head_sha256,
    )


def make_manifest(
    recipe: Recipe,
    entries: Iterable[ShardEntry],
    epoch_tokens: int = 0,
    write_page: Callable[[str, bytes], object] = lambda name, data: None,
) -> Manifest:
    """The manifest of a recipe's pack once every unit is packed; `entries` come in the order of their units.

    `write_page` gets name (below the pack) and bytes of every page as it is full: it must be kept before the manifest
    is. No more than a page of entries is held here. Raises ValueError when a unit is missing or out of its place.
    """
    totals = dict.fromkeys(("units", *_TOTALS), 0)
    counted = _count(entries, totals)
    if len(recipe.units) <= PAGE_UNITS:
        listing: dict[str, Any] = {"shards": tuple(counted)}
    else:
        first = list(islice(counted, 1))
        pages = tuple(_write_pages(chain(first, counted), write_page))
        listing = {"first": first[0] if first else None, "pages": pages}
    if totals["units"] != len(recipe.units):
        raise ValueError(f"a manifest lists all {len(recipe.units)} units once and in order, not {totals['units']}")
    return Manifest(
        dataset=recipe.corpus.dataset,
        revision=recipe.corpus.revision,
        fingerprint=recipe.fingerprint,
        tokenizer=recipe.tokenizer.name,
        tokenizer_fingerprint=recipe.tokenizer.fingerprint,
        vocabulary=recipe.tokenizer.vocabulary,
        end_of_document=recipe.tokenizer.end_of_document,
        epoch_tokens=epoch_tokens,
        **(totals | listing),
    )


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest as indented JSON, so that people can read it and tell two apart."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse_manifest(data: bytes, name: str, recipe: Recipe | None = None) -> Manifest:
    """A manifest from its bytes, called `name` in errors; checked against `recipe` when given.

    Raises DataError when it is damaged, of another version, or made with another tokenizer or corpus.
    """
    try:
        found = msgspec.json.decode(data, type=_Version).format
        if found != FORMAT:
            raise DataError(f"{name}: manifest format {found}, and this version reads {FORMAT}; pack again")
        manifest = msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: no manifest ({error}); `ten pack` with the same settings writes it anew") from None
    if (wrong := _find_gap(manifest)) is not None:
        raise DataError(f"{name}: no manifest ({wrong}); `ten pack` with the same settings writes it anew")
    if recipe is not None:
        _refuse_other(manifest, name, recipe)
    return manifest


def page_name(number: int) -> str:
    """Where a page lies below its pack."""
    return f"pages/{number:05d}.json"


def parse_page(data: bytes, page: PageEntry, name: str) -> list[ShardEntry]:
    """The entries of a page; DataError that calls it `name` when its bytes are not those that the manifest lists."""
    if (found := hashlib.sha256(data).hexdigest()) != page.sha256:
        raise DataError(
            f"{name}: damaged: it has sha256 {found[:12]}… instead of {page.sha256[:12]}…; `ten pack` with the same "
            "settings writes it anew"
        )
    return msgspec.json.decode(data, type=list[ShardEntry])


class _Version(msgspec.Struct, frozen=True):
    format: int


def _find_gap(manifest: Manifest) -> str | None:
    """Why a manifest does not list every unit once and in order, in words; None where it does."""
    shards = [(entry.unit, 1) for entry in manifest.shards]
    places = [*shards, *((page.first, page.units) for page in manifest.pages)]
    if (listed := sum(units for _, units in places)) != manifest.units:
        return f"it lists {listed} of {manifest.units} shards"
    before = 0
    for first, units in places:
        if first != before or units < 1:
            return f"unit {first} follows {before} others"
        before += units
    return None


def _count(entries: Iterable[ShardEntry], totals: dict[str, int]) -> Iterator[ShardEntry]:
    for entry in entries:
        if entry.unit != totals["units"]:
            raise ValueError(f"a manifest lists all units once and in order: {entry.unit} after {totals['units']}")
        totals["units"] += 1
        for name in _TOTALS:
            totals[name] += getattr(entry, name)
        yield entry


def _write_pages(entries: Iterator[ShardEntry], write_page: Callable[[str, bytes], object]) -> Iterator[PageEntry]:
    number = 0
    while batch := list(islice(entries, PAGE_UNITS)):
        data = b"[\n" + b",\n".join(map(msgspec.json.encode, batch)) + b"\n]\n"
        write_page(page_name(number), data)
        sha256 = hashlib.sha256(data).hexdigest()
        yield PageEntry(first=batch[0].unit, units=len(batch), bytes=len(data), sha256=sha256)
        number += 1


def _refuse_other(manifest: Manifest, name: str, recipe: Recipe) -> None:
    """Raise DataError where a manifest was made with another tokenizer or corpus."""
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
