"""Ranges ahead: parts of files in the order asked for, while those that come next are already on their way."""

import atexit
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable

from ten.calls.hangup import Hangup, HungUp
from ten.hub.address import HubAddress
from ten.hub.transport import Transport

Range = tuple[HubAddress, int, int]
_ENDING_S = 2.0


def fetch_ahead(
    transport: Transport, ranges: Iterable[Range], ahead: Callable[[], int], size: int | None = None
) -> Generator[bytes, None, None]:
    """The bytes of each range, in order; up to `ahead()` further ones are in flight, each on a connection of its own.

    `ahead` is asked before each is sent off, so that a reader may run far ahead at first and less when there is enough;
    0 leaves the one that is needed now. `size` is the listed size of the file, where all ranges are of one. Raises what
    `Transport.read` and the iterator of ranges raise, when the range concerned is due. Closing the generator ends all.
    """
    crew = _Crew(transport, size)
    waiting: deque[_Job] = deque()
    source = _Source(ranges)
    try:
        while True:
            while (not waiting or len(waiting) <= ahead()) and source.more():
                waiting.append(crew.submit(source.take()))
            if not waiting:
                source.check()
                return
            job = waiting.popleft()
            data = job.result()
            while len(waiting) < ahead() and source.more():
                waiting.append(crew.submit(source.take()))
            yield data
            del data, job
    finally:
        crew.dismiss()


class _Source:
    """The ranges still to be sent off, one of them looked at beforehand; an error in them keeps its place in line."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._ranges = iter(ranges)
        self._next: list[Range] = []
        self._ended = False
        self._error: Exception | None = None

    def more(self) -> bool:
        if not self._next and not self._ended:
            try:
                self._next.append(next(self._ranges))
            except StopIteration:
                self._ended = True
            except Exception as error:
                self._ended, self._error = True, error
        return bool(self._next)

    def take(self) -> Range:
        return self._next.pop()

    def check(self) -> None:
        if self._error is not None:
            raise self._error


class _Job:
    """One range on its way."""

    def __init__(self, part: Range) -> None:
        self.part = part
        self.hangup = Hangup()
        self._done = threading.Event()
        self._data = b""
        self._error: BaseException | None = None

    def run(self, transport: Transport, size: int | None) -> None:
        try:
            self._data = transport.read(*self.part, size, self.hangup)
        except BaseException as error:
            self._error = error  # for the thread that asked
        self._done.set()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def result(self) -> bytes:
        self._done.wait()  # no deadline of its own: the read has one
        if isinstance(self._error, HungUp):
            raise SystemExit  # the interpreter ends, and so does, without a word, the thread that waits
        if self._error is not None:
            raise self._error
        return self._data


class _Crew:
    """Threads that fetch; as many as were ever busy at once, and none after dismissal."""

    def __init__(self, transport: Transport, size: int | None) -> None:
        self._transport, self._size = transport, size
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._sent: list[_Job] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._dismissed = False
        _crews.add(self)

    def submit(self, part: Range) -> _Job:
        job = _Job(part)
        with self._lock:
            if self._dismissed:
                raise SystemExit
            self._sent = [sent for sent in self._sent if not sent.done] + [job]
            if len(self._threads) < len(self._sent):
                arguments = (self._jobs, self._transport, self._size)
                self._threads.append(threading.Thread(target=_work, args=arguments, name="range", daemon=True))
                self._threads[-1].start()
        self._jobs.put(job)
        return job

    def dismiss(self) -> None:
        """End every read and thread. A thread in the middle of connecting ends by itself, soon after."""
        with self._lock:
            self._dismissed = True
            sent, self._sent = self._sent, []
            threads, self._threads = self._threads, []
        for job in sent:
            job.hangup.cut()
        for _ in threads:
            self._jobs.put(None)
        end = time.monotonic() + _ENDING_S
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))


def _work(jobs: "queue.SimpleQueue[_Job | None]", transport: Transport, size: int | None) -> None:
    while (job := jobs.get()) is not None:
        job.run(transport, size)
        del job


_crews: "weakref.WeakSet[_Crew]" = weakref.WeakSet()


@atexit.register
def dismiss_all() -> None:
    """End every stream of this process, whichever threads wait for them: these get HungUp.

    A stream that nobody closed must not be found reading when the interpreter is taken apart.
    """
    for crew in list(_crews):
        crew.dismiss()
