"""Uploads: finished shards on their way from this disk to the store, behind everybody's back."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ten import logs
from ten.data.manifest import ShardEntry
from ten.data.published import PublishedPack
from ten.errors import CredentialsError, DataError, MissingInput
from ten.units import counted

log = logging.getLogger(__name__)

_THREADS = 4


class Uploads:
    """A queue of shards, sent by a few threads. It holds names, not bytes, so it may be as long as the pack.

    Whoever packs is never held up: a store that is away costs it nothing but the copy there, which is tried again when
    the store is back. The threads end when there is nothing to send, and keep no process alive: what was not sent is
    sent by whoever packs it, or streams it, next on this machine.
    """

    def __init__(self, pack: PublishedPack, path: Callable[[int], Path]) -> None:
        self._pack, self._path = pack, path
        self._changed = threading.Condition()
        self._waiting: deque[ShardEntry] = deque()
        self._failed: list[ShardEntry] = []
        self._failure: Exception | None = None
        self._sending = 0
        """Threads, each of which sends a shard."""
        self.lost: set[int] = set()
        """Units whose files were deleted before they were sent."""
        self.sent: set[int] = set()
        """Units that are in the store."""

    def put(self, entry: ShardEntry) -> None:
        """Have a shard sent."""
        with self._changed:
            self._waiting.append(entry)
            if self._sending < _THREADS:
                self._sending += 1
                threading.Thread(target=self._serve, name="upload", daemon=True).start()

    def drain(self) -> None:
        """Wait until everything is sent. Raises what sending raised; the shards stay on this disk."""
        with self._changed:
            total = self._open
            with logs.progress("upload", total, " shards") as bar, logs.reporting(bar, self._tell):
                while self._open:
                    self._changed.wait(1.0)
                    bar.update(total - self._open - bar.n)
            self._failed.clear()
        self.check()

    def check(self) -> None:
        """Raise what sending raised last, once, unless a shard has arrived since."""
        with self._changed:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def wait(self, seconds: float) -> bool:
        """Until a shard has been sent, or so long; False at once where none is on its way."""
        with self._changed:
            if self._open:
                self._changed.wait(seconds)
            return self._open > 0

    def close(self, seconds: float) -> None:
        """Give what is being sent so long to arrive; what waits behind it is not begun."""
        with self._changed:
            self._waiting.clear()
            self._failed.clear()
            self._changed.wait_for(lambda: not self._open, seconds)

    @property
    def _open(self) -> int:
        """Shards that are queued or being sent."""
        return len(self._waiting) + self._sending

    def _serve(self) -> None:
        while (entry := self._next()) is not None:
            try:
                self._pack.send(entry, self._path(entry.unit))
            except MissingInput:  # evicted by a job that shares the folder
                self.lost.add(entry.unit)
            except DataError as error:  # overwritten meanwhile by other bytes than those it was made of
                self.lost.add(entry.unit)
                log.warning("%s", error)
            except Exception as error:  # a bug too: whoever waits for the end of this is told
                self._put_off(entry, error)
            else:
                self._arrived(entry)

    def _next(self) -> ShardEntry | None:
        """The next shard; None ends the thread."""
        with self._changed:
            self._changed.notify_all()
            if self._waiting:
                return self._waiting.popleft()
            self._sending -= 1
            return None

    def _arrived(self, entry: ShardEntry) -> None:
        with self._changed:
            self.sent.add(entry.unit)
            if self._failed:  # the store is back
                self._waiting.extend(self._failed)
                self._failed.clear()
                self._failure = None

    def _put_off(self, entry: ShardEntry, error: Exception) -> None:
        with self._changed:
            is_new, self._failure = self._failure is None, error
            self._failed.append(entry)
        if is_new:
            kept = "" if isinstance(error, CredentialsError) else "; finished shards stay on this disk"
            log.warning("a shard is not in the store: %s%s", error, kept)

    def _tell(self) -> None:
        log.info("%s still to be sent to %s", counted(self._open, "shard"), self._pack.address)
