"""Limits: what ends an attempt before its run is done: a deadline, a budget, idleness."""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from ten.errors import Resumable, SpecError
from ten.job import JobSpec
from ten.train.heartbeat import Heartbeat
from ten.train.run_record import now
from ten.train.stopping import StopRequest
from ten.units import parse_seconds

log = logging.getLogger(__name__)

HARD_END_S = 30.0
"""Beyond limits.stop_grace a process that a limit has asked to stop is ended: it hangs."""
_PARTING_S = 10.0


@contextmanager
def limited(spec: JobSpec, stop: StopRequest) -> Iterator[None]:
    """Stop when the attempt has lasted for limits.max_duration, preparation included."""
    if spec.limits.max_duration is None:
        yield
        return
    end = time.monotonic() + parse_seconds(spec.limits.max_duration)
    with _watching(f"limits.max_duration={spec.limits.max_duration}", spec, stop, lambda: end - time.monotonic()):
        yield


@contextmanager
def budgeted(spec: JobSpec, stop: StopRequest, *, spent: float = 0.0, since: datetime | None = None) -> Iterator[None]:
    """Stop when the attempt, which began at `since`, and the dollars `spent` before it come to limits.max_cost.

    Raises SpecError where nothing is left, or nobody says what an hour costs.
    """
    most, price = spec.limits.max_cost, spec.resources.price_per_hour
    if most is None:
        yield
        return
    reason = f"limits.max_cost={most:g}"
    if price is None:
        raise SpecError(f"{reason}: what an hour costs is not known; say it: --set resources.price_per_hour=1.57")
    if spent >= most:
        raise SpecError(f"{reason}: the attempts so far have cost {spent:.2f} dollars; raise it to go on")
    if price == 0:
        yield
        return
    used = (now() - since).total_seconds() if since else 0.0
    end = time.monotonic() + (most - spent) / price * 3600 - used
    with _watching(reason, spec, stop, lambda: end - time.monotonic(), first="raise limits.max_cost"):
        yield


@contextmanager
def watched(spec: JobSpec, stop: StopRequest) -> Iterator[None]:
    """Stop when nobody has polled `stop` for limits.idle: every micro-batch does, of training and evaluation."""
    if spec.limits.idle is None:
        yield
        return
    longest = parse_seconds(spec.limits.idle)
    stop.polled_at = time.monotonic()
    with _watching(f"limits.idle={spec.limits.idle}", spec, stop, lambda: stop.polled_at + longest - time.monotonic()):
        yield


@contextmanager
def guarded(beat: Heartbeat, spec: JobSpec, stop: StopRequest, keep_stacks: Callable[[str], None]) -> Iterator[None]:
    """The watchdog: stop when `beat` is overdue. Where everything hangs then is kept first, under the reason."""

    def due() -> str:
        reason = beat.describe()
        log.error("%s; keeping where everything hangs, then stopping", reason)
        keep_stacks(reason)
        return reason

    with _watching(due, spec, stop, beat.seconds_left, longest_wait_s=1.0):
        yield


@contextmanager
def _watching(
    reason: str | Callable[[], str],
    spec: JobSpec,
    stop: StopRequest,
    seconds_left: Callable[[], float],
    longest_wait_s: float = 3600.0,
    first: str | None = None,
) -> Iterator[None]:
    """Within the block a thread asks for a stop when no seconds are left, and ends a process that does not follow.

    `reason` is asked when it is due, where it is not known before. How much is left is looked at again after
    `longest_wait_s`: it may have become less. `first` is what must be done before the same command can go on.
    """
    over = threading.Event()
    patience = parse_seconds(spec.limits.stop_grace) + HARD_END_S

    def watch() -> None:
        while (left := seconds_left()) > 0:
            if over.wait(min(left, longest_wait_s)):
                return
        why = reason if isinstance(reason, str) else reason()
        _ask(why, stop, first)
        if not over.wait(patience):
            _end(why, patience, stop)

    thread = threading.Thread(target=watch, name="limit", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ask(reason: str, stop: StopRequest, first: str | None) -> None:
    stop.request(reason, first)
    if not stop.wake():  # nobody polls yet: a download, a pack
        log.warning("%s is over", reason)
        os.kill(os.getpid(), signal.SIGTERM)


def _end(reason: str, patience: float, stop: StopRequest) -> None:
    """Leave behind where every thread hangs; what was saved before is what the next attempt goes on from."""
    log.error("stopped by %s: nothing has moved for %.0fs since; ending the process where it hangs", reason, patience)
    faulthandler.dump_traceback(sys.__stderr__ or 2)
    parting = threading.Thread(target=stop.part, args=(f"stopped by {reason}; it hung and was ended",), daemon=True)
    parting.start()
    parting.join(_PARTING_S)  # a disk or a store may be what hangs
    os._exit(Resumable.exit_code)
