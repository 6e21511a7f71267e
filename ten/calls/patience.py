"""Patience: how long a service may take, and the one place where a call waits, tries again or gives up."""

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import msgspec

from ten.calls.hangup import Hangup
from ten.calls.retry import FIRST_WAIT_S, Pace, Transient, backoff_s
from ten.errors import ServiceUnavailable, SpecError
from ten.units import format_seconds, parse_seconds

_T = TypeVar("_T")
_SAY_AFTER_S, _SAY_EVERY_S = 3.0, 10.0
_log = logging.getLogger(__name__)


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines of every wait for a service, in seconds."""

    connect_s: float = 10.0
    silence_s: float = 20.0
    """How long a connection may bring nothing, or less than is worth waiting for."""
    total_s: float = 300.0
    """How long a call goes on trying after its last progress."""
    adjustable: bool = True
    """Whether TEN_PATIENCE makes it longer."""

    @classmethod
    def of(cls, total_s: float) -> "Patience":
        """Deadlines that fit into one for all."""
        return cls(connect_s=min(10.0, total_s / 3), silence_s=min(20.0, total_s / 3), total_s=total_s)


_IMPATIENT_S = 15.0
_usual: ContextVar[Patience | None] = ContextVar("usual patience", default=None)


@contextmanager
def impatient(total_s: float = _IMPATIENT_S) -> Iterator[None]:
    """Calls made inside give up after so long, unless TEN_PATIENCE says otherwise: somebody waits for an answer."""
    before = _usual.set(Patience.of(total_s))
    try:
        yield
    finally:
        _usual.reset(before)


def read_patience(environment: Mapping[str, str] = os.environ) -> Patience:
    """The usual one, or what TEN_PATIENCE ("30s", "5m") says.

    Raises SpecError for a text that is no duration.
    """
    text = environment.get("TEN_PATIENCE", "").strip()
    if not text:
        return _usual.get() or Patience()
    try:
        total = parse_seconds(text)
    except SpecError as error:
        raise SpecError(f"TEN_PATIENCE: {error}") from None
    if total <= 0:
        raise SpecError(f"TEN_PATIENCE={text!r} leaves no time at all; write 5m")
    return Patience.of(total)


class Notices:
    """Keeps many callers that wait for one reason from saying so all at once."""

    def __init__(self) -> None:
        self._said_at = float("-inf")

    def say(self, message: str) -> None:
        """Warn, or, right after another warning, leave a line for who debugs."""
        now = time.monotonic()
        level = logging.WARNING if now - self._said_at >= _SAY_EVERY_S else logging.DEBUG
        if level == logging.WARNING:
            self._said_at = now
        _log.log(level, "%s", message)


class Persistence:
    """One call's tries. Time without progress is what wears it out: bytes at a useful rate start it afresh."""

    def __init__(self, patience: Patience, awaited: str, cure: str, hangup: Hangup, notices: Notices) -> None:
        self.patience, self.hangup = patience, hangup
        self._awaited, self._cure, self._notices = awaited, cure, notices
        self._progress_at = time.monotonic()
        self._pace = Pace(patience.silence_s, self._progress_at)
        self._tries = self._failures = self._farthest = 0

    def insist(self, attempt: Callable[[], _T]) -> _T:
        """What `attempt` returns once it does not raise Transient. Raises ServiceUnavailable when patience is over."""
        while True:
            self.hangup.check()
            self._tries += 1
            try:
                return attempt()
            except Transient as failure:
                self._wait(failure)

    def left_s(self) -> float:
        """Seconds until the call gives up, were there no progress any more."""
        return self._progress_at + self.patience.total_s - time.monotonic()

    def reached(self, count: int) -> None:
        """So many bytes of what is wanted are there. Enough more than ever before, in time, are progress."""
        now = time.monotonic()
        if self._pace.too_slow(now):
            self._pace.restart(now)
        if count > self._farthest:
            full = self._pace.add(count - self._farthest, now)
            self._farthest = count
            if full:
                self._progress_at, self._failures = now, 0

    def give_up(self, reason: str) -> ServiceUnavailable:
        """The error that ends this call."""
        lost = max(0.0, self.patience.total_s - self.left_s())
        tries = "1 try" if self._tries == 1 else f"{self._tries} tries"
        more = f", or allow more than {format_seconds(self.patience.total_s)} with TEN_PATIENCE=30m"
        return ServiceUnavailable(
            f"{self._awaited}: {reason}; gave up after {tries} and {format_seconds(lost)} without progress. "
            f"{self._cure}{more if self.patience.adjustable else ''}"
        )

    def _wait(self, failure: Transient) -> None:
        chance = random.random()
        left = self.left_s()
        asked = failure.wait_s
        wait = min(backoff_s(self._failures, chance), left / 2) if asked is None else asked + FIRST_WAIT_S * chance
        self._failures += 1
        if wait > left or left < FIRST_WAIT_S:
            wanted = "" if asked is None else f", and the host asks to wait {format_seconds(asked)}"
            raise self.give_up(f"{failure.reason}{wanted}") from None
        if wait + self.patience.total_s - left > _SAY_AFTER_S:
            self._notices.say(
                f"waiting for {self._awaited}: {failure.reason}; next try in {format_seconds(wait)}, "
                f"giving up in {format_seconds(left)}"
            )
        self.hangup.pause(wait)
