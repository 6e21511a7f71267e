"""Hangup: how one thread ends what another is waiting for, be it a pause, an answer or a body."""

import socket
import threading
from contextlib import suppress


class HungUp(Exception):
    """Nobody wants the answer any more."""


class Hangup:
    """A call's emergency brake. Only a name being looked up or a connection being made cannot be broken off."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def cut(self) -> None:
        """End the call, now and for good."""
        self._over.set()
        with self._lock:
            held = self._socket
        if held is not None:
            with suppress(OSError):  # it may have ended by itself
                # past a TLS layer, whose own shutdown would pull the ground from under the thread that reads
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise HungUp when the call was ended."""
        if self._over.is_set():
            raise HungUp

    def pause(self, seconds: float) -> None:
        """Sleep. Raises HungUp when the call is ended meanwhile."""
        if self._over.wait(seconds):
            raise HungUp

    def hold(self, connection: socket.socket | None) -> None:
        """Name the socket that the call now waits on, or None when it is done with it."""
        with self._lock:
            self._socket = connection
        if connection is not None:
            self.check()
