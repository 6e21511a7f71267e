"""The packer process's own end: reads requests, packs units on a few threads, says what it did. Imports no torch."""

import os
import signal
import sys
import threading
import time
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

_PULSE_S = 5.0


def main() -> None:
    """Serve requests from stdin until it closes: the trainer has ended, one way or another."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they may reach the whole group; the trainer decides
        signal.signal(number, signal.SIG_IGN)
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


class _Pulse:
    """Says now and then that a long unit is being worked on."""

    def __init__(self, speaker: _Speaker, unit: int) -> None:
        self._speaker, self._unit = speaker, unit
        self._last = time.monotonic()

    def __call__(self) -> None:
        if (now := time.monotonic()) - self._last > _PULSE_S:
            self._last = now
            self._speaker.say(Event(kind="alive", unit=self._unit))


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
            pulse = _Pulse(speaker, unit)
            cache.add(unit, pack_unit(recipe, recipe.units[unit], encoder, shown, batch_rows=batch_rows, pulse=pulse))
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
