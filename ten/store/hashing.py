"""The sha256 of an object, wherever it lies: read by ranges, hashed as they come, nothing kept."""

import hashlib
from collections.abc import Callable, Generator
from contextlib import closing

from ten.store.crew import Crew
from ten.store.in_order import in_order
from ten.store.protocol import Store

_PIECE = 2**23
_AHEAD = 4
_READERS = Crew(16)
"""For all objects that are hashed at once."""


def sha256_of(store: Store, key: str, size: int, advance: Callable[[int], object] | None = None) -> str:
    """Of the first `size` bytes of an object, in hex; in some 40 MiB of memory.

    `advance` hears of bytes as they are hashed. Raises what `Store.read_range` raises.
    """
    digest = hashlib.sha256()
    with closing(_pieces(store, key, size)) as pieces:
        for piece in pieces:
            digest.update(piece)
            if advance:
                advance(len(piece))
    return digest.hexdigest()


def _pieces(store: Store, key: str, size: int) -> Generator[bytes, None, None]:
    def read(start: int) -> bytes:
        return store.read_range(key, start, min(_PIECE, size - start))

    starts = range(0, size, _PIECE)
    if store.root is not None or len(starts) < 2:
        return (read(start) for start in starts)
    return in_order(_READERS, read, starts, ahead=_AHEAD)
