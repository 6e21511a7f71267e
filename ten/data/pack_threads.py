"""Packing by threads of this process: units → shards in the cache."""

import threading
from collections.abc import Generator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

from ten.data.cache import ShardCache
from ten.data.growing import journal_of
from ten.data.manifest import ShardEntry
from ten.data.pack_progress import PackProgress
from ten.data.pack_room import PackRoom
from ten.data.packing import Work, pack_unit
from ten.data.recipe import Recipe
from ten.hub.address import is_hub
from ten.text.engines import Encoder


class PackThreads:
    """A few threads that pack a unit each."""

    def __init__(self, cache: ShardCache, *, threads: int, batch_rows: int, limit: int | None) -> None:
        """`limit`: bytes of shards on this disk in front of a store; None for no limit."""
        self._cache = cache
        self._threads, self._batch_rows = threads, batch_rows
        self._room = PackRoom(cache, limit)
        self._stopped = threading.Event()

    def pack(self, units: list[int], encoder: Encoder, made: PackProgress) -> Generator[ShardEntry, None, None]:
        """Pack the units; each entry as its shard is there. Raises the first error, and lets go of the others."""
        self._stopped.clear()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="pack") as pool:
            futures = [pool.submit(self._pack, unit, encoder, made) for unit in units]
            try:
                for future in as_completed(futures):
                    entry = future.result()
                    made.finish()
                    yield entry
            except BaseException:
                self._stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                _hang_up(self._cache.recipe)
                raise

    def _pack(self, unit: int, encoder: Encoder, made: PackProgress) -> ShardEntry:
        recipe = self._cache.recipe
        self._room.make(unit, self._pulse)
        with journal_of(self._cache, unit) as journal:
            work = Work(batch_rows=self._batch_rows, pulse=self._pulse, journal=journal)
            made.start(work)
            return self._cache.add(unit, pack_unit(recipe, recipe.units[unit], encoder, work))

    def _pulse(self) -> None:
        if self._stopped.is_set():
            raise CancelledError


def _hang_up(recipe: Recipe) -> None:
    """End what is being fetched: a thread that waits for the hub would keep the process for as long as its patience."""
    if any(is_hub(file.path) for file in recipe.corpus.files):
        from ten.hub.ranges import dismiss_all

        dismiss_all()
