"""Growing: the journals of units half packed, beside the pack's shards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ten.data.cache import ShardCache
from ten.data.journal import Journal, Place
from ten.hub.address import is_hub


@contextmanager
def journal_of(cache: ShardCache, unit: int) -> Iterator[Journal | None]:
    """Where a unit's finished segments are kept while it is packed; None where reading them again costs little.

    The journal goes when the block ends well: the shard is published then.
    """
    recipe = cache.recipe
    if not any(is_hub(recipe.corpus.files[part.file].path) for part in recipe.units[unit].parts):
        yield None
        return
    journal = Journal(journal_path(cache, unit), recipe.fingerprint, unit)
    try:
        yield journal
    except BaseException:
        journal.close(done=False)
        raise
    journal.close(done=True)


def packed_until(cache: ShardCache, unit: int) -> Place:
    """Where the packing of a unit goes on: at its start, unless an earlier attempt left a journal."""
    path, place = journal_path(cache, unit), Place()
    if path.exists():
        journal = Journal(path, cache.recipe.fingerprint, unit)
        for harvest, _ in journal.read():
            place = harvest.place
        journal.close(done=False)
    return place


def journal_path(cache: ShardCache, unit: int) -> Path:
    """Where a unit's journal lies."""
    return cache.folder / "growing" / f"{unit:05d}.journal"
