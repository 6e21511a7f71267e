"""Why a run stops before its end: a request that a signal, a deadline or a budget sets and the loop polls."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from ten.errors import TenError

log = logging.getLogger(__name__)

_ECHO_SECONDS = 0.5
_WAKE = signal.SIGURG
"""Ignored where nobody handles it, so that it harms nothing when it comes too late."""


class Interrupted(Exception):
    """Raised by the signal inside `StopRequest.interrupting`, to leave a wait that may be long."""


class StopRequest:
    """Set once with a reason, then polled: calling it tells whether to stop."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.since: float | None = None
        """When it was asked for, by the monotonic clock."""
        self.polled_at = time.monotonic()
        """When somebody last asked whether to stop, by the same clock: a sign that work goes on."""
        self.cure = "run the same command again"
        """What is to be done after the stop, to go on."""
        self._last_words: list[Callable[[str], object]] = []
        self._signalled_at: float | None = None
        self._interrupting = False
        self._previous: dict[int, Any] = {}

    def __call__(self) -> bool:
        self.polled_at = time.monotonic()
        return self.reason is not None

    def request(self, reason: str, first: str | None = None) -> None:
        """Ask for a stop; the first reason stays. `first` is what must be done before the same command can go on."""
        if self.reason is None:
            self.reason, self.since = reason, time.monotonic()
            self.cure = f"{first}, then {self.cure}" if first else self.cure

    def wake(self) -> bool:
        """From another thread, after a request: end a wait inside `interrupting`; whether somebody polls at all."""
        main = threading.main_thread().ident
        if self.is_handling and main is not None:
            signal.pthread_kill(main, _WAKE)
        return self.is_handling

    def on_hang(self, say: Callable[[str], object]) -> None:
        """Have `say` called with the reason, by another thread, before a hung process is ended; last one first."""
        self._last_words.append(say)

    def part(self, reason: str) -> None:
        """Call what `on_hang` was given; one that fails is said and keeps nobody else from speaking."""
        for say in reversed(self._last_words):
            try:
                say(reason)
            except (TenError, OSError) as error:
                log.error("%s", error)

    def note_signal(self) -> None:
        """A signal came where nobody handled it; the next one is a second one."""
        self.request("a signal")
        self._signalled_at = time.monotonic()

    @property
    def is_handling(self) -> bool:
        """Whether signals come here, because somebody polls."""
        return bool(self._previous)

    @contextmanager
    def handling(self, *signals: signal.Signals) -> Iterator["StopRequest"]:
        """Within the block, SIGTERM and SIGINT (or `signals`) request a stop; the handlers before it come back after.

        A second signal has its default behaviour, at once. Repetitions within half a second are one signal: a
        terminal and torchrun both pass on the same Ctrl-C. Main thread only (a rule of Python).
        """
        for number in signals or (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._handle)
        self._previous[_WAKE] = signal.signal(_WAKE, self._leave_wait)
        try:
            yield self
        finally:
            self._restore()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """`handling`, unless it is at work: for waits that may be inside it or not."""
        with nullcontext() if self.is_handling else self.handling():
            yield

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within the block a signal also raises Interrupted, so that a wait for data ends at once."""
        self._interrupting = True
        try:
            if self.reason is not None:
                raise Interrupted(self.reason)
            yield
        finally:
            self._interrupting = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signalled_at is not None:  # a limit that asked before is no first signal
            if now - self._signalled_at > _ECHO_SECONDS:
                self._restore()
                os.kill(os.getpid(), number)
            return
        self._signalled_at = now
        self.request(signal.Signals(number).name)
        if self._interrupting:
            raise Interrupted(self.reason)

    def _leave_wait(self, _number: int, _frame: FrameType | None) -> None:
        if self._interrupting and self.reason is not None:
            raise Interrupted(self.reason)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
