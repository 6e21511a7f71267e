"""The pack verb: every unit of a recipe → shards, then the manifest; goes on where an earlier attempt stopped."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

import msgspec

from ten import logs
from ten.data.bpe import sample_texts
from ten.data.cache import ShardCache
from ten.data.documents import BATCH_ROWS
from ten.data.engines import Encoder, choose_encoder
from ten.data.manifest import Manifest, ShardEntry, make_manifest
from ten.data.packing import pack_unit
from ten.data.recipe import Recipe
from ten.errors import DataError

log = logging.getLogger(__name__)

_SAMPLE_CHARACTERS = 2**17


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """What packing did."""

    manifest: Manifest
    packed: int
    """Units packed now; the others were there."""
    engine: str


def open_encoder(recipe: Recipe, engine: str = "auto") -> tuple[Encoder, list[str]]:
    """The fastest engine that proves itself on the tokenizer and on the first 128 Ki characters of the corpus."""
    sample = list(sample_texts(recipe.corpus, _SAMPLE_CHARACTERS, recipe.invalid_text))
    return choose_encoder(recipe.tokenizer, sample, engine)


def pack_all(
    cache: ShardCache,
    *,
    threads: int = 1,
    engine: str = "auto",
    batch_rows: int = BATCH_ROWS,
    force: bool = False,
) -> Packed:
    """Pack what is missing, then publish the manifest. `force` packs everything anew.

    Raises DataError when the corpus has no text. Killed at any moment, it leaves whole shards and no manifest.
    """
    recipe = cache.recipe
    if force:
        cache.retract()
    whole = {} if force else _whole_shards(cache)
    missing = [unit.index for unit in recipe.units if unit.index not in whole]
    if not missing and (manifest := _manifest(cache)) == make_manifest(recipe, [*whole.values()]):
        return Packed(manifest=manifest, packed=0, engine="none")
    cache.retract()
    encoder, notes = open_encoder(recipe, engine)
    for note in notes:
        log.info(note)
    with logs.progress("pack", len(recipe.units), " shards", done=len(whole)) as bar:
        for entry in _pack_units(cache, missing, encoder, threads, batch_rows):
            whole[entry.unit] = entry
            bar.update()
    manifest = make_manifest(recipe, list(whole.values()))
    if not manifest.documents and not any(entry.held_out_documents for entry in manifest.shards):
        raise DataError(f"{recipe.corpus.dataset}: empty corpus: none of its records has any text")
    cache.publish(manifest)
    return Packed(manifest=manifest, packed=len(missing), engine=encoder.name)


def _pack_units(
    cache: ShardCache, units: list[int], encoder: Encoder, threads: int, batch_rows: int
) -> Iterator[ShardEntry]:
    recipe = cache.recipe

    stopped = threading.Event()

    def pulse() -> None:
        if stopped.is_set():
            raise CancelledError

    def pack(unit: int) -> ShardEntry:
        return cache.add(unit, pack_unit(recipe, recipe.units[unit], encoder, batch_rows=batch_rows, pulse=pulse))

    with ThreadPoolExecutor(threads, thread_name_prefix="pack") as pool:
        futures = [pool.submit(pack, unit) for unit in units]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
