"""Outbox: messages to another process, written by a thread of their own, so that a full pipe holds nobody up."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO

import msgspec


class Outbox:
    """JSON lines into a pipe, in the order they were sent."""

    def __init__(self, pipe: IO[bytes], broken: Callable[[], None]) -> None:
        """`broken` is called when the reader has gone; what is sent afterwards is forgotten."""
        self._pipe, self._broken = pipe, broken
        self._messages: queue.SimpleQueue[msgspec.Struct | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def send(self, message: msgspec.Struct) -> None:
        """Have a message written."""
        self._messages.put(message)

    def close(self) -> None:
        """Have the pipe closed behind the last message; does not wait."""
        self._messages.put(None)

    def join(self, seconds: float) -> None:
        """Wait until the pipe is closed."""
        self._thread.join(seconds)

    def _write(self) -> None:
        try:
            while (message := self._messages.get()) is not None:
                self._pipe.write(msgspec.json.encode(message) + b"\n")
                self._pipe.flush()
        except BrokenPipeError:
            self._broken()
        finally:
            with suppress(BrokenPipeError):  # what was buffered for it
                self._pipe.close()
