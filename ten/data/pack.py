"""The pack verb: every unit of a recipe → shards, then the manifest; goes on where an earlier attempt stopped."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path

import msgspec

from ten import logs
from ten.data.cache import ShardCache
from ten.data.estimate import epoch_tokens
from ten.data.journal import Journal, Place
from ten.data.manifest import Manifest, ShardEntry, make_manifest
from ten.data.pack_progress import PackProgress
from ten.data.packing import Work, pack_unit
from ten.data.recipe import Recipe
from ten.errors import DataError
from ten.hub.address import is_hub
from ten.store.durable import writing
from ten.text.documents import BATCH_ROWS, read_segments
from ten.text.engines import Encoder, choose_encoder
from ten.text.flow import Flow
from ten.text.units import Unit

log = logging.getLogger(__name__)

REFERENCE = "tokenizers"
"""The engine that the others must agree with."""
_SAMPLE_CHARACTERS = 2**17
_ROUNDS = 3
"""How often shards are made that another process deletes meanwhile."""


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """What packing did."""

    manifest: Manifest
    packed: int
    """Units packed now; the others were there."""
    engine: str


def open_encoder(
    recipe: Recipe, unit: Unit, engine: str = "auto", begin: Place | None = None
) -> tuple[Encoder, list[str]]:
    """The fastest engine that proves itself on the tokenizer and on the first 128 Ki characters of a unit.

    The unit should be the one that is packed next, and `begin` where its packing goes on: what is fetched for the
    proof is then at hand for the packing, and nothing that is packed is fetched again.
    """
    sample = [] if engine == REFERENCE else list(_sample(recipe, unit, begin or Place()))
    return choose_encoder(recipe.tokenizer, sample, engine)


def _sample(recipe: Recipe, unit: Unit, begin: Place) -> Iterator[str]:
    left = _SAMPLE_CHARACTERS
    for number in range(begin.part, len(unit.parts)):
        part, place = unit.parts[number], begin if number == begin.part else Place()
        file, column = recipe.corpus.files[part.file], recipe.corpus.text_column
        flow, first = Flow(ahead=lambda: 0, skip_bad=recipe.skip_bad), place.segments
        segments = read_segments(file, part.part, part.parts, column, recipe.invalid_text, first=first, flow=flow)
        with closing(segments):
            wanted = None if part.records is None else part.records - place.records
            for text in islice(chain.from_iterable(segments), wanted):
                yield (text or "")[:left]
                left -= len(text or "")
                if left <= 0:
                    return


def pack_all(
    cache: ShardCache,
    *,
    threads: int = 1,
    engine: str = "auto",
    batch_rows: int = BATCH_ROWS,
    force: bool = False,
) -> Packed:
    """Pack what is missing, then publish the manifest. `force` packs everything anew.

    Raises DataError when the corpus has no text, or when another process goes on deleting shards. Killed at any
    moment, it leaves whole shards and no manifest.
    """
    recipe = cache.recipe
    if force:
        _clear(cache)
    whole = {} if force else _whole_shards(cache)
    missing = [unit.index for unit in recipe.units if unit.index not in whole]
    manifest = None if missing else _manifest(cache)
    if manifest and manifest.shards == make_manifest(recipe, [*whole.values()]).shards:
        return Packed(manifest=manifest, packed=0, engine="none")
    cache.retract()
    made = PackProgress(recipe, missing)
    made.announce()
    with logs.progress("pack", len(recipe.units), " shards", done=len(whole)) as bar, logs.reporting(bar, made.tell):
        first = missing[0] if missing else 0
        encoder, notes = open_encoder(recipe, recipe.units[first], engine, packed_until(cache, first))
        for note in notes:
            log.info(note)
        epoch = epoch_tokens(recipe, encoder.encode)  # now: the start of the corpus may be at hand
        for _ in range(_ROUNDS):
            for entry in _pack_units(cache, missing, encoder, threads, batch_rows, made):
                whole[entry.unit] = entry
                bar.update()
            missing = _lost(cache, made)
            bar.update(-len(missing))
            if not missing:
                break
    manifest = _finish(cache, whole, epoch, missing)
    return Packed(manifest=manifest, packed=made.packed, engine=encoder.name)


def _clear(cache: ShardCache) -> None:
    """Nothing of an earlier attempt is gone on with; the shards stay until new ones take their place."""
    cache.retract()
    for unit in cache.recipe.units:
        path = _journal_path(cache, unit.index)
        with writing(path):
            path.unlink(missing_ok=True)


def _lost(cache: ShardCache, made: PackProgress) -> list[int]:
    """Units whose shards were deleted while others were packed, as a job that streams does when its disk is full."""
    lost = [unit.index for unit in cache.recipe.units if not cache.has(unit.index)]
    if lost:
        log.warning("%s: %d shards were deleted while others were packed", cache.folder, len(lost))
        made.lose(len(lost))
    return lost


def _finish(cache: ShardCache, whole: dict[int, ShardEntry], epoch: int, lost: list[int]) -> Manifest:
    """Publish the manifest of a pack that is all there and has text in it."""
    recipe = cache.recipe
    if lost:
        raise DataError(
            f"{cache.folder}: {len(lost)} shards, such as number {lost[0]}, are deleted while others are packed; end "
            f"the job that streams this dataset with a data.cache_limit too small for all of it, then pack again"
        )
    manifest = make_manifest(recipe, list(whole.values()), epoch)
    if not manifest.documents and not any(entry.held_out_documents for entry in manifest.shards):
        raise DataError(f"{recipe.corpus.dataset}: empty corpus: none of its records has any text")
    cache.publish(manifest)
    return manifest


def _pack_units(
    cache: ShardCache, units: list[int], encoder: Encoder, threads: int, batch_rows: int, made: PackProgress
) -> Iterator[ShardEntry]:
    recipe, stopped = cache.recipe, threading.Event()

    def pulse() -> None:
        if stopped.is_set():
            raise CancelledError

    def pack(unit: int) -> ShardEntry:
        with journal_of(cache, unit) as journal:
            work = Work(batch_rows=batch_rows, pulse=pulse, journal=journal)
            made.start(work)
            return cache.add(unit, pack_unit(recipe, recipe.units[unit], encoder, work))

    with ThreadPoolExecutor(threads, thread_name_prefix="pack") as pool:
        futures = [pool.submit(pack, unit) for unit in units]
        try:
            for future in as_completed(futures):
                entry = future.result()
                made.finish()
                yield entry
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            _hang_up(recipe)
            log.info("%s are packed", made.shards)
            raise


def _hang_up(recipe: Recipe) -> None:
    """End what is being fetched: a thread that waits for the hub would keep the process for as long as its patience."""
    if any(is_hub(file.path) for file in recipe.corpus.files):
        from ten.hub.ranges import dismiss_all

        dismiss_all()


@contextmanager
def journal_of(cache: ShardCache, unit: int) -> Iterator[Journal | None]:
    """Where a unit's finished segments are kept while it is packed; None where reading them again costs little.

    The journal goes when the block ends well: the shard is published then.
    """
    recipe = cache.recipe
    if not any(is_hub(recipe.corpus.files[part.file].path) for part in recipe.units[unit].parts):
        yield None
        return
    journal = Journal(_journal_path(cache, unit), recipe.fingerprint, unit)
    try:
        yield journal
    except BaseException:
        journal.close(done=False)
        raise
    journal.close(done=True)


def packed_until(cache: ShardCache, unit: int) -> Place:
    """Where the packing of a unit goes on: at its start, unless an earlier attempt left a journal."""
    path, place = _journal_path(cache, unit), Place()
    if path.exists():
        journal = Journal(path, cache.recipe.fingerprint, unit)
        for harvest, _ in journal.read():
            place = harvest.place
        journal.close(done=False)
    return place


def _journal_path(cache: ShardCache, unit: int) -> Path:
    return cache.folder / "growing" / f"{unit:05d}.journal"


def _manifest(cache: ShardCache) -> Manifest | None:
    try:
        return cache.manifest()
    except DataError as error:  # its cure is to be written anew
        log.warning("%s", error)
        return None


def _whole_shards(cache: ShardCache) -> dict[int, ShardEntry]:
    """What an earlier attempt left that is sound."""
    entries: dict[int, ShardEntry] = {}
    for unit in cache.recipe.units:
        try:
            entry = cache.entry(unit.index)
        except DataError:  # damaged: put aside, said, and packed anew
            continue
        if entry is not None:
            entries[entry.unit] = entry
    return entries
