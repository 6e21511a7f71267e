"""Uploads: finished shards on their way from this disk to the store, behind everybody's back."""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from ten import logs
from ten.data.manifest import ShardEntry
from ten.data.published import PublishedPack
from ten.errors import CredentialsError, DataError, MissingInput, TenError

log = logging.getLogger(__name__)

_THREADS = 4


class Uploads:
    """A queue of shards, sent by a few threads. It holds names, not bytes, so it may be as long as the pack.

    Whoever packs is never held up: a store that is away costs it nothing but the copy there. Daemon threads: a process
    that must end ends, and what was not sent is sent by whoever packs next.
    """

    def __init__(self, pack: PublishedPack, path: Callable[[int], Path]) -> None:
        self._pack, self._path = pack, path
        self._waiting: queue.SimpleQueue[ShardEntry | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._open = 0
        """Shards that are queued or being sent."""
        self._threads: list[threading.Thread] = []
        self.lost: set[int] = set()
        """Units whose files were deleted before they were sent."""
        self.failure: TenError | None = None
        """Why some shard could not be sent; the last reason."""
        self.sent: set[int] = set()
        """Units that are in the store."""

    def put(self, entry: ShardEntry) -> None:
        """Have a shard sent."""
        with self._changed:
            self._open += 1
            if len(self._threads) < min(_THREADS, self._open):
                thread = threading.Thread(target=self._serve, name="upload", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._waiting.put(entry)

    def drain(self) -> None:
        """Wait until everything is sent. Raises what sending raised; the shards stay on this disk."""
        with self._changed:
            total = self._open
            with logs.progress("upload", total, " shards") as bar, logs.reporting(bar, self._tell):
                while self._open:
                    self._changed.wait(1.0)
                    bar.update(total - self._open - bar.n)
            failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def close(self, seconds: float) -> None:
        """Give what is being sent so long to arrive; what waits behind it is not begun."""
        while not self._waiting.empty():
            if self._waiting.get() is not None:
                self._done()
        with self._changed:
            self._changed.wait_for(lambda: not self._open, seconds)
            for _ in self._threads:
                self._waiting.put(None)

    def wait(self, seconds: float) -> bool:
        """Until a shard has been sent, or so long; False at once where none is on its way."""
        with self._changed:
            if self._open:
                self._changed.wait(seconds)
            return self._open > 0

    def _serve(self) -> None:
        while (entry := self._waiting.get()) is not None:
            try:
                self._pack.send(entry, self._path(entry.unit))
                self.sent.add(entry.unit)
            except MissingInput:  # evicted by a job that shares the folder
                self.lost.add(entry.unit)
            except DataError as error:  # overwritten or damaged meanwhile: whoever reads it finds out
                self.lost.add(entry.unit)
                log.warning("%s", error)
            except TenError as error:
                self._note(error)
            finally:
                self._done()

    def _note(self, error: TenError) -> None:
        with self._changed:
            is_new, self.failure = self.failure is None, error
        if is_new:
            kept = "" if isinstance(error, CredentialsError) else "; finished shards stay on this disk"
            log.warning("a shard is not in the store: %s%s", error, kept)

    def _done(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def _tell(self) -> None:
        log.info("%d shards still to be sent to %s", self._open, self._pack.address)
