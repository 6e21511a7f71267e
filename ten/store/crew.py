"""Crew: threads that make requests for others; they end by themselves, and hold up nobody who leaves."""

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from ten.calls.hangup import Hangup, HungUp

_T = TypeVar("_T")
_IDLE_S = 5.0
_ENDING_S = 1.0


class Job(Generic[_T]):
    """One piece of work, done by some thread of a crew."""

    def __init__(self, work: Callable[[Hangup], _T]) -> None:
        self.hangup = Hangup()
        self._work = work
        self._done = threading.Event()
        self._results: list[_T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do the work; what it raises is for who asks for the result."""
        try:
            self.hangup.check()
            self._results.append(self._work(self.hangup))
        except BaseException as error:
            self._error = error
        self._done.set()

    def finished(self, within_s: float | None = None) -> bool:
        """Whether it is over, be it after a wait."""
        return self._done.wait(within_s)

    def result(self) -> _T:
        """What the work returned, or raises what it raised."""
        self._done.wait()  # no deadline of its own: the work has one
        if isinstance(self._error, HungUp):
            raise SystemExit  # the interpreter ends, and so does, without a word, the thread that waits
        if self._error is not None:
            raise self._error
        return self._results.pop()

    def cut(self) -> None:
        """End it where it is."""
        self.hangup.cut()


class Crew:
    """Up to `width` daemon threads, started when there is work and gone when there has been none for a while."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._jobs: queue.SimpleQueue[Job[object]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._unfinished = 0
        self._sent: weakref.WeakSet[Job[object]] = weakref.WeakSet()
        _crews.add(self)

    def submit(self, work: Callable[[Hangup], _T]) -> Job[_T]:
        """Have some thread do the work."""
        job = Job(work)
        with self._lock:
            self._unfinished += 1
            self._sent.add(job)  # type: ignore[arg-type]
            begin = self._threads < min(self.width, self._unfinished)
            self._threads += begin
            self._jobs.put(job)  # type: ignore[arg-type]
        if begin:
            threading.Thread(target=self._serve, name="store", daemon=True).start()
        return job

    def dismiss(self) -> None:
        """End all that is under way."""
        with self._lock:
            sent = list(self._sent)
        for job in sent:
            job.cut()
        end = time.monotonic() + _ENDING_S
        for job in sent:
            job.finished(max(0.0, end - time.monotonic()))

    def _serve(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._threads -= 1
                        return
                continue
            job.run()
            del job
            with self._lock:
                self._unfinished -= 1


_crews: "weakref.WeakSet[Crew]" = weakref.WeakSet()


@atexit.register
def dismiss_all() -> None:
    """End the work of every crew: none must be found at it when the interpreter is taken apart."""
    for crew in list(_crews):
        crew.dismiss()
