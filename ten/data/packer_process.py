"""The packer process's own end: reads requests, packs units on a few threads, says what it did. Imports no torch."""

import os
import signal
import sys
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ten import logs
from ten.data.cache import ShardCache
from ten.data.engines import Encoder
from ten.data.pack import open_encoder
from ten.data.packer import Event, PackerOrder, Request
from ten.data.packing import pack_unit
from ten.errors import DataError, TenError
from ten.store.opening import open_store


def main() -> None:
    """Serve requests from stdin until it closes: the trainer has ended, one way or another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the trainer decides
    logs.show_messages()
    speaker = _Speaker()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=PackerOrder)
    pool = ThreadPoolExecutor(order.threads, thread_name_prefix="pack")
    tools = pool.submit(_open, order, speaker)  # not here: this thread must see at any moment that stdin closes
    for line in sys.stdin.buffer:
        pool.submit(_serve, msgspec.json.decode(line, type=Request), tools, order.batch_rows, speaker)
    os._exit(0)  # units half packed are worth nothing: publication is atomic


class _Speaker:
    """Writes events whole, whichever thread they come from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what a library prints goes to the terminal, not between the events

    def say(self, event: Event, payload: bytes = b"") -> None:
        with self._lock:
            try:
                self._pipe.write(msgspec.json.encode(event) + b"\n" + payload)
                self._pipe.flush()
            except BrokenPipeError:
                os._exit(0)


def _open(order: PackerOrder, speaker: _Speaker) -> tuple[ShardCache, Encoder]:
    cache = ShardCache(open_store(order.store), order.recipe, Path(order.cache_dir) if order.cache_dir else None)
    encoder, notes = open_encoder(order.recipe, order.engine)
    for note in notes:
        speaker.say(Event(kind="note", message=note))
    return cache, encoder


def _serve(request: Request, tools: "Future[tuple[ShardCache, Encoder]]", batch_rows: int, speaker: _Speaker) -> None:
    unit = request.unit

    def grow(tokens: NDArray[Any], ends: NDArray[np.uint64]) -> None:
        payload = tokens.tobytes()
        speaker.say(Event(kind="grew", unit=unit, ends=tuple(ends.tolist()), payload=len(payload)), payload)

    try:
        cache, encoder = tools.result()
        if not _is_cached(cache, unit):
            recipe = cache.recipe
            shown = grow if request.grow else None
            cache.add(unit, pack_unit(recipe, recipe.units[unit], encoder, shown, batch_rows=batch_rows))
        cache.forget(unit)
        speaker.say(Event(kind="done", unit=unit))
    except TenError as error:
        speaker.say(Event(kind="failed", unit=unit, error=type(error).__name__, message=str(error)))
    except Exception as error:  # a bug: its traceback goes to stderr, its name to the trainer
        traceback.print_exc()
        speaker.say(Event(kind="failed", unit=unit, error=type(error).__name__, message=str(error)))


def _is_cached(cache: ShardCache, unit: int) -> bool:
    try:
        return cache.find(unit) is not None
    except DataError:  # damaged and put aside, and said so: made anew
        return False


if __name__ == "__main__":
    main()
