"""Packer: the process that packs units on demand and feeds the trainer; this is the trainer's end of it.

The two talk over pipes: requests and events are JSON lines, an event may be followed by raw tokens. No shared memory,
no lock files: when either end dies the other sees its pipe close.
"""

import logging
import subprocess
import threading
import time
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ten import errors
from ten.data.outbox import Outbox
from ten.data.packer_messages import Event, PackerOrder, Release, Request
from ten.data.packer_start import StartedPacker
from ten.data.supply import Supply
from ten.data.waiting import Waiting
from ten.errors import ServiceUnavailable, TenError

log = logging.getLogger(__name__)

_STOP_S = 5.0
_DOINGS = {"network": "waits for the network", "tokenizer": "reads and tokenizes text", "disk": "writes shards"}


class Growth:
    """The tokens of a shard that is still being packed."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._pieces: list[NDArray[Any]] = []
        self._ends: list[int] = []
        self.tokens = 0
        self.is_paused = False
        """Whether nothing will be added before the packer is released."""

    def add(self, payload: bytes, ends: tuple[int, ...]) -> None:
        """Append whole documents."""
        piece = np.frombuffer(payload, dtype=self._dtype)
        self._pieces.append(piece)
        self._ends += ends
        self.tokens += len(piece)

    def snapshot(self) -> tuple[NDArray[Any], NDArray[np.uint64]]:
        """All tokens so far and the ends of their documents."""
        if len(self._pieces) > 1:
            self._pieces = [np.concatenate(self._pieces)]
        tokens = self._pieces[0] if self._pieces else np.empty(0, dtype=self._dtype)
        return tokens, np.array(self._ends, dtype=np.uint64)


class Packer:
    """A running packer process. Waits have a deadline: no event for `patience_s` is an error, not a hang."""

    def __init__(self, order: PackerOrder, patience_s: float = 600.0, started: StartedPacker | None = None) -> None:
        """`started`: the process, where one was begun before the order was known."""
        self._order = order
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._requested: set[int] = set()
        self._done: set[int] = set()
        self._growths: dict[int, Growth] = {}
        self._failure: TenError | None = None
        self._epoch_tokens: int | None = None
        self._released = not order.slow_start
        self._spent = Supply()
        """What the finished units have cost."""
        self._running: dict[int, Supply] = {}
        """What the units that are being packed have cost when the process last said so."""
        self._waiters = 0
        self._spoke = time.monotonic()
        """When the process last spoke."""
        self._heard = self._spoke
        """When the process last spoke, or when a wait began if that is later: it has nothing to say between."""
        self._process = (started or StartedPacker(order.store)).take()
        assert self._process.stdin and self._process.stdout
        self._listener = threading.Thread(
            target=self._listen, args=(self._process.stdout,), name="packer-events", daemon=True
        )
        self._listener.start()
        self._outbox = Outbox(self._process.stdin, self._gone)
        self._outbox.send(order)

    def request(self, unit: int, *, grow: bool = False, again: bool = False) -> None:
        """Ask for a unit; asking twice does nothing, unless the shard is wanted `again` after it was done."""
        with self._changed:
            if again and unit in self._done:
                self._done.remove(unit)
                self._requested.remove(unit)
            if unit in self._requested:
                return
            self._requested.add(unit)
            if grow:
                self._growths[unit] = Growth("<u2" if self._order.recipe.dtype == "U16" else "<u4")
        self._outbox.send(Request(unit=unit, grow=grow))

    def release(self) -> None:
        """Let a process that starts slowly fetch and pack ahead; later calls do nothing."""
        with self._changed:
            released, self._released = self._released, True
        if not released:
            self._outbox.send(Release())

    @property
    def supply(self) -> Supply:
        """What packing has cost so far, units that are not finished included."""
        with self._changed:
            return sum(self._running.values(), self._spent)

    def holdup(self) -> str:
        """What the process is busy with and how fast, for people."""
        with self._changed:
            spent = sum(self._running.values(), Supply())
            spent = spent if spent.seconds else self._spent
            silence = f"last heard of {time.monotonic() - self._spoke:.0f} s ago"
        limit = spent.limit()
        if limit is None:
            return f"the packer has no text yet ({silence})"
        rate = spent.text_bytes / spent.seconds / 1e6
        return f"the packer {_DOINGS[limit]} ({rate:.1f} MB/s of text a thread so far, {silence})"

    def epoch_tokens(self) -> int:
        """Estimated training tokens in an epoch, which the order must have asked for; waits for it."""
        with self._changed:
            waiting = self._waiting(f"the first documents of {self._order.recipe.corpus.dataset}")
            while self._epoch_tokens is None:
                self._wait(waiting)
            return self._epoch_tokens

    def wait_done(self, unit: int) -> None:
        """Until the unit's shard is published. Raises what packing it raised; ServiceUnavailable past the deadline."""
        self.release()
        with self._changed:
            waiting = self._waiting(f"unit {unit} of {self._order.recipe.corpus.dataset}")
            while unit not in self._done:
                self._wait(waiting)

    def wait_tokens(self, unit: int, tokens: int) -> tuple[NDArray[Any], NDArray[np.uint64]] | None:
        """The tokens of a growing unit and the ends of its documents once there are so many tokens.

        None when the unit is done and its shard can be read instead.
        """
        with self._changed:
            waiting = self._waiting(f"the first rows of unit {unit} of {self._order.recipe.corpus.dataset}")
            while unit not in self._done:
                growth = self._growths.get(unit)
                if growth is not None and growth.tokens >= tokens:
                    return growth.snapshot()
                if growth is not None and growth.is_paused:
                    self.release()
                self._wait(waiting)
            return None

    def close(self) -> None:
        """End the process; a unit it was packing is packed again by whoever needs it."""
        self._outbox.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._outbox.join(_STOP_S)
        self._listener.join(_STOP_S)

    def _gone(self) -> None:
        with self._changed:  # the listener sees the end too and knows why
            self._failure = self._failure or self._death()
            self._changed.notify_all()

    def _waiting(self, awaited: str) -> Waiting:
        """A wait that begins now; the main thread's holds the trainer up, a loader's thread only works ahead."""
        self._heard = time.monotonic()
        return Waiting(awaited, self.holdup, is_told=threading.current_thread() is threading.main_thread())

    def _wait(self, waiting: Waiting) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiters += 1
        try:
            self._changed.wait(1.0)
        finally:
            self._waiters -= 1
        waiting.poll()
        silence = time.monotonic() - self._heard
        if silence > self._patience_s:
            raise ServiceUnavailable(
                f"the packer process said nothing for {silence:.0f} s while {waiting.awaited} was awaited; "
                "look for a stuck disk, then run the same command again"
            )

    def _listen(self, pipe: IO[bytes]) -> None:
        try:
            with pipe:
                while line := pipe.readline():
                    self._take(msgspec.json.decode(line, type=Event), pipe)
        except msgspec.DecodeError:  # cut off in the middle of a line
            self._process.kill()
        with self._changed:
            self._process.wait()
            self._failure = self._failure or self._death()
            self._changed.notify_all()

    def _take(self, event: Event, pipe: IO[bytes]) -> None:
        payload = pipe.read(event.payload)
        if event.kind == "note":
            log.info(event.message)
        goes_on = False
        with self._changed:
            self._heard = self._spoke = time.monotonic()
            if event.kind == "grew" and event.unit in self._growths and len(payload) == event.payload:
                self._growths[event.unit].add(payload, event.ends)
            elif event.kind == "paused" and event.unit in self._growths:
                self._growths[event.unit].is_paused = True
            elif event.kind == "epoch":
                self._epoch_tokens = event.tokens
            elif event.kind == "done":
                self._done.add(event.unit)
                self._growths.pop(event.unit, None)
                self._running.pop(event.unit, None)
                self._spent += event.supply or Supply()
            elif event.kind == "alive" and event.supply is not None:
                self._running[event.unit] = event.supply
            elif event.kind == "failed":
                goes_on = self._failure is None and not self._waiters  # who waits is told by the error
                self._failure = _rebuilt(event)
            self._changed.notify_all()
        if goes_on:
            log.warning("packing failed: %s; training goes on with the shards that are ready", self._failure)

    def _death(self) -> TenError:
        code = self._process.poll()
        how = "ended" if code is None else f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return ServiceUnavailable(
            f"the packer process {how}; finished shards are kept, so run the same command again "
            "(killed by signal 9 without anybody's doing usually means that memory ran out)"
        )


def _rebuilt(event: Event) -> TenError:
    """The error a packer process met, as it was raised there."""
    kind = getattr(errors, event.error, None)
    if isinstance(kind, type) and issubclass(kind, TenError):
        return kind(event.message)
    return ServiceUnavailable(f"the packer process failed on unit {event.unit}: {event.error}: {event.message}")
