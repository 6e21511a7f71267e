"""The pack verb: every unit of a recipe → shards, then the manifest; goes on where an earlier attempt stopped."""

import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from ten import logs
from ten.data.cache import ShardCache
from ten.data.encoder_choice import open_encoder
from ten.data.estimate import epoch_tokens
from ten.data.growing import journal_path, packed_until
from ten.data.manifest import Manifest, ShardEntry, make_manifest
from ten.data.pack_progress import PackProgress
from ten.data.pack_threads import PackThreads
from ten.data.published import Packing
from ten.errors import DataError
from ten.store.durable import writing
from ten.text.documents import BATCH_ROWS
from ten.text.engines import Encoder
from ten.units import counted

log = logging.getLogger(__name__)

_ASKING = 16
"""Questions to a store at a time."""
_ROUNDS = 3
"""How often shards are made that another process deletes meanwhile."""


Finished = Generator[ShardEntry, None, None]
"""Shards as they get finished. Closing it ends the work."""


class Packers(Protocol):
    """Who packs units: threads of this process, or machines elsewhere."""

    def pack(self, units: list[int], encoder: Encoder, made: PackProgress) -> Finished:
        """Pack the units in any order; each entry as its shard is on its way to where it belongs."""


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """What packing did."""

    manifest: Manifest
    packed: int
    """Units packed now; the others were there."""
    engine: str


def pack_all(
    cache: ShardCache,
    *,
    threads: int = 1,
    engine: str = "auto",
    batch_rows: int = BATCH_ROWS,
    force: bool = False,
    limit: int | None = None,
    packers: Packers | None = None,
) -> Packed:
    """Pack what is missing, then publish the manifest. `force` packs everything anew.

    In front of a store that is no folder, shards that are there make way for others beyond `limit` bytes. `packers`
    do the work instead of `threads` of this process.

    Raises DataError when the corpus has no text, or when another process goes on deleting shards. Killed at any
    moment, it leaves whole shards and no manifest.
    """
    recipe = cache.recipe
    if force:
        _clear(cache)
    whole = {} if force else _whole_shards(cache)
    missing = [unit.index for unit in recipe.units if unit.index not in whole]
    manifest = None if missing else _manifest(cache)
    entries = (whole[unit] for unit in sorted(whole))
    if manifest and manifest.lists_same(make_manifest(recipe, entries, write_page=cache.pack.mend_page)):
        _drain(cache)
        if not (missing := cache.lost(whole)):
            return Packed(manifest=manifest, packed=0, engine="none")
    cache.pack.retract()
    made = PackProgress(recipe, missing)
    made.announce()
    packers = packers or PackThreads(cache, threads=threads, batch_rows=batch_rows, limit=limit)
    with logs.progress("pack", len(recipe.units), " shards", done=len(whole)) as bar, logs.reporting(bar, made.tell):
        first = missing[0] if missing else 0
        encoder, notes = open_encoder(recipe, recipe.units[first], engine, packed_until(cache, first))
        for note in notes:
            log.info(note)
        epoch = epoch_tokens(recipe, encoder.encode)  # now: the start of the corpus may be at hand
        packing = _announce(cache, epoch) if cache.uploads is not None else None
        for _ in range(_ROUNDS):
            with closing(_told(packers.pack(missing, encoder, made), made)) as entries:
                for entry in entries:
                    whole[entry.unit] = entry
                    bar.update()
            _drain(cache)
            missing = _lost(cache, made)
            bar.update(-len(missing))
            if not missing:
                break
    if packing is not None:
        cache.pack.announce(made.account(packing))
    manifest = _finish(cache, whole, epoch, missing)
    return Packed(manifest=manifest, packed=made.packed, engine=encoder.name)


def _told(entries: Finished, made: PackProgress) -> Finished:
    """The same; how far it went is said when it ends early."""
    try:
        yield from entries
    except BaseException:
        log.info("%s are packed", made.shards)
        raise


def _announce(cache: ShardCache, epoch: int) -> Packing:
    """Say in the store that the pack is under way, and what a job that reads it meanwhile must know."""
    before = cache.pack.packing()
    packing = Packing(
        epoch_tokens=epoch,
        units=len(cache.recipe.units),
        started=before.started if before else datetime.now(UTC).replace(microsecond=0),
        text_bytes=before.text_bytes if before else 0,
        seconds=before.seconds if before else 0.0,
    )
    cache.pack.announce(packing)
    return packing


def _drain(cache: ShardCache) -> None:
    """Until the store behind the cache has every shard."""
    if cache.uploads is not None:
        cache.uploads.drain()


def _clear(cache: ShardCache) -> None:
    """Nothing of an earlier attempt is gone on with; the shards stay until new ones take their place."""
    cache.pack.retract()
    for unit in cache.recipe.units:
        path = journal_path(cache, unit.index)
        with writing(path):
            path.unlink(missing_ok=True)


def _lost(cache: ShardCache, made: PackProgress) -> list[int]:
    """Units whose shards were deleted while others were packed, as a job that streams does when its disk is full."""
    lost = cache.lost(unit.index for unit in cache.recipe.units)
    if lost:
        log.warning("%s: deleted while others were packed: %s", cache.folder, counted(len(lost), "shard"))
        made.lose(len(lost))
    return lost


def _finish(cache: ShardCache, whole: dict[int, ShardEntry], epoch: int, lost: list[int]) -> Manifest:
    """Publish the manifest of a pack that is all there and has text in it."""
    recipe = cache.recipe
    if lost:
        raise DataError(
            f"{cache.folder}: {counted(len(lost), 'shard')}, such as number {lost[0]}, deleted while others were "
            "packed; end the job that streams this dataset with a data.cache_limit too small for all of it, then pack "
            "again"
        )
    manifest = make_manifest(recipe, (whole[unit] for unit in sorted(whole)), epoch, cache.pack.write_page)
    if not manifest.documents and not manifest.held_out_documents:
        raise DataError(f"{recipe.corpus.dataset}: empty corpus: none of its records has any text")
    cache.pack.publish(manifest)
    return manifest


def _manifest(cache: ShardCache) -> Manifest | None:
    try:
        return cache.manifest()
    except DataError as error:  # its cure is to be written anew
        log.warning("%s", error)
        return None


def _whole_shards(cache: ShardCache) -> dict[int, ShardEntry]:
    """What an earlier attempt left that is sound, here or in the store."""

    def look(unit: int) -> ShardEntry | None:
        try:
            return cache.entry(unit)
        except DataError:  # damaged: put aside, said, and packed anew
            return None

    units = [unit.index for unit in cache.recipe.units]
    if cache.uploads is None:
        found = [look(unit) for unit in units]
    else:
        with ThreadPoolExecutor(_ASKING, thread_name_prefix="ask") as pool:
            found = list(pool.map(look, units))
    return {entry.unit: entry for entry in found if entry is not None}
