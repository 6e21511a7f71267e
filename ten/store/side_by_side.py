"""Several small objects read at once, where each would cost a round trip of its own."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ten.errors import MissingInput
from ten.store.protocol import Store

_AT_ONCE = 8


def read_side_by_side(store: Store, keys: Sequence[str]) -> list[bytes | None]:
    """All bytes of each object, None for those that are not there; a folder's files are read in turn.

    Raises what reading the first of those that fail raises.
    """
    if store.root is not None or len(keys) < 2:
        return [_read(store, key) for key in keys]
    with ThreadPoolExecutor(min(len(keys), _AT_ONCE), thread_name_prefix="read") as pool:
        return list(pool.map(lambda key: _read(store, key), keys))


def _read(store: Store, key: str) -> bytes | None:
    try:
        return store.read(key)
    except MissingInput:
        return None
