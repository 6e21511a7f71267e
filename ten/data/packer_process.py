"""The packer process's own end: reads requests, packs units on a few threads, says what it did. Imports no torch."""

import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ten import logs
from ten.data.cache import ShardCache
from ten.data.encoder_choice import open_encoder
from ten.data.estimate import epoch_tokens
from ten.data.growing import journal_of, packed_until
from ten.data.pack_cost import PackCost
from ten.data.packer_messages import Event, PackerOrder, Release, Request
from ten.data.packer_start import S3, STACKS
from ten.data.packing import Work, pack_unit
from ten.data.pulling import Pull, Puller
from ten.data.supply import Supply
from ten.errors import DataError, TenError
from ten.store.opening import open_store
from ten.text.engines import Encoder
from ten.text.flow import RANGES_AHEAD, Flow

_PULLS = 16
"""Shards that come from the store at a time: a connection brings only so much, however few units are packed at once."""
_PULSE_S = 5.0
_UPLOAD_S = 3.0
"""How long shards on their way to the store may hold up the end: less than the trainer waits before it kills."""


def main() -> None:
    """Serve requests from stdin until it closes: the trainer has ended, one way or another."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they may reach the whole group; the trainer decides
        signal.signal(number, signal.SIG_IGN)
    logs.show_messages()
    for word in sys.argv[1:]:
        if word.startswith(STACKS):
            faulthandler.register(signal.SIGURG, file=int(word.removeprefix(STACKS)))
    if S3 in sys.argv[1:]:
        importlib.import_module("ten.store.s3")  # now, while nobody waits
    speaker = _Speaker()
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the trainer ended before it had said anything
        return
    order = msgspec.json.decode(line, type=PackerOrder)
    server = _Server(order, speaker)
    for line in sys.stdin.buffer:
        server.take(msgspec.json.decode(line, type=Request | Release))
    server.close()
    os._exit(0)  # what is half packed is in the journal or worth nothing: publication is atomic


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


class _Server:
    """Packs what is asked for on a few threads; the calling thread is free to see at any moment that stdin closes."""

    def __init__(self, order: PackerOrder, speaker: _Speaker) -> None:
        self._order, self._speaker = order, speaker
        self._packs = ThreadPoolExecutor(order.threads, thread_name_prefix="pack")
        self._pulls = ThreadPoolExecutor(max(_PULLS, order.threads), thread_name_prefix="pull")
        self._released = threading.Event()
        self._opening, self._finding = threading.Lock(), threading.Lock()
        self._found: ShardCache | None = None
        self._encoder: Encoder | None = None
        self._running: dict[int, PackCost | Pull] = {}
        threading.Thread(target=self._pulse, name="pulse", daemon=True).start()
        if not order.slow_start:
            self._released.set()
        if order.estimate:
            self._submit(self._packs, -1, self._estimate)

    @property
    def _cache(self) -> ShardCache:
        with self._finding:
            if self._found is None:
                order = self._order
                store = open_store(order.store)
                self._found = ShardCache(store, order.recipe, Path(order.cache_dir) if order.cache_dir else None)
                self._puller = Puller(self._found, order, self._note)
            return self._found

    def close(self) -> None:
        """Let the shards arrive that are on their way to the store, for a moment."""
        if self._found is not None and self._found.uploads is not None:
            self._found.uploads.close(_UPLOAD_S)

    def take(self, message: Request | Release) -> None:
        """Begin what a message asks for."""
        if isinstance(message, Release):
            self._released.set()
        else:
            self._submit(self._pulls, message.unit, partial(self._serve, message))

    def _submit(self, pool: ThreadPoolExecutor, unit: int, task: Callable[[], None]) -> None:
        pool.submit(self._guarded, unit, task)

    def _guarded(self, unit: int, task: Callable[[], None]) -> None:
        try:
            task()
        except TenError as error:
            self._speaker.say(Event(kind="failed", unit=unit, error=type(error).__name__, message=str(error)))
        except Exception as error:  # a bug: its traceback goes to stderr, its name to the trainer
            traceback.print_exc()
            self._speaker.say(Event(kind="failed", unit=unit, error=type(error).__name__, message=str(error)))

    def _serve(self, request: Request) -> None:
        if not request.grow:
            self._released.wait()
        if _is_here(self._cache, request.unit):
            self._finish(request, Supply())
            self._puller.send_again(request.unit)
        elif (supply := self._pull(request)) is not None:
            self._finish(request, supply)
        else:
            self._submit(self._packs, request.unit, lambda: self._finish(request, self._pack(self._cache, request)))

    def _finish(self, request: Request, supply: Supply) -> None:
        self._cache.forget(request.unit)
        self._speaker.say(Event(kind="done", unit=request.unit, supply=supply))

    def _pull(self, request: Request) -> Supply | None:
        self._running[request.unit] = pull = Pull()
        try:
            show = partial(self._show, request.unit) if request.grow else None
            return self._puller.pull(request.unit, pull, show)
        finally:
            del self._running[request.unit]

    def _estimate(self) -> None:
        tokens = epoch_tokens(self._cache.recipe, self._open_encoder(0).encode)
        self._speaker.say(Event(kind="epoch", tokens=tokens))

    def _open_encoder(self, unit: int) -> Encoder:
        """The one encoder, proved on the unit that is the first to need it: what is fetched for that serves it too."""
        with self._opening:
            if self._encoder is None:
                recipe = self._cache.recipe
                begin = packed_until(self._cache, unit)
                self._encoder, notes = open_encoder(recipe, recipe.units[unit], self._order.engine, begin)
                for note in notes:
                    self._note(note)
            return self._encoder

    def _note(self, message: str) -> None:
        self._speaker.say(Event(kind="note", message=message))

    def _pack(self, cache: ShardCache, request: Request) -> Supply:
        unit, recipe = request.unit, cache.recipe
        encoder = self._open_encoder(unit)
        with journal_of(cache, unit) as journal:
            work = Work(
                grow=partial(self._show, unit) if request.grow else None,
                batch_rows=self._order.batch_rows,
                journal=journal,
                flow=Flow(ahead=lambda: RANGES_AHEAD if self._released.is_set() else 0),
            )
            self._running[unit] = cost = PackCost(work)
            work.pause = partial(self._pause, unit, cost)
            try:
                data = pack_unit(recipe, recipe.units[unit], encoder, work)
                cost.packed()
                cache.add(unit, data)
            finally:
                del self._running[unit]
        return cost.supply()

    def _pause(self, unit: int, cost: PackCost) -> None:
        if self._released.is_set():
            return
        self._speaker.say(Event(kind="paused", unit=unit))
        asked = time.perf_counter()
        self._released.wait()
        cost.paused_s += time.perf_counter() - asked

    def _pulse(self) -> None:
        """Say now and then what is being worked on, and what it has cost."""
        while True:
            time.sleep(_PULSE_S)
            for unit, cost in list(self._running.items()):
                if cost.has_moved():
                    self._speaker.say(Event(kind="alive", unit=unit, supply=cost.supply()))

    def _show(self, unit: int, tokens: NDArray[Any], ends: NDArray[np.uint64]) -> None:
        payload = tokens.tobytes()
        event = Event(kind="grew", unit=unit, ends=tuple(ends.tolist()), payload=len(payload))
        self._speaker.say(event, payload)


def _is_here(cache: ShardCache, unit: int) -> bool:
    try:
        return cache.find_here(unit) is not None
    except DataError:  # damaged and put aside, and said so: made anew
        return False


if __name__ == "__main__":
    main()
