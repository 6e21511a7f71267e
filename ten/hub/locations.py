"""Locations: where the bytes of each file are served from, asked once per file however many threads want it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import msgspec

from ten.calls.patience import Persistence
from ten.calls.retry import Transient
from ten.hub.address import HubAddress

_POLL_S = 0.2


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A file's place. Its query is a signature: never to be shown."""

    url: str
    at_hub: bool
    """Served by the hub's own origin, which alone may see the token."""

    def __repr__(self) -> str:
        return f"Location({origin(self.url)}, at_hub={self.at_hub})"


class Locations:
    """What is known of the files asked for so far."""

    def __init__(self) -> None:
        self._known: dict[HubAddress, Location] = {}
        self._locks: dict[HubAddress, threading.Lock] = {}
        self._lock = threading.Lock()

    def find(self, address: HubAddress) -> Location | None:
        """A file's place, if it is known."""
        with self._lock:
            return self._known.get(address)

    def learn(self, address: HubAddress, location: Location) -> None:
        """Remember a file's place."""
        with self._lock:
            self._known[address] = location

    def forget(self, address: HubAddress, location: Location) -> None:
        """A file's place is no longer good, unless another thread has found a newer one meanwhile."""
        with self._lock:
            if self._known.get(address) == location:
                del self._known[address]

    @contextmanager
    def asking(self, address: HubAddress, persistence: Persistence) -> Iterator[None]:
        """The right to ask for a file's place, one thread at a time.

        Raises ServiceUnavailable when another thread holds it for as long as this call's patience lasts.
        """
        with self._lock:
            lock = self._locks.setdefault(address, threading.Lock())
        while not lock.acquire(timeout=_POLL_S):
            persistence.hangup.check()
            if persistence.left_s() < 0:
                raise persistence.give_up("another thread still asks where the file is")
        try:
            yield
        finally:
            lock.release()


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a token is bound to."""
    parts = urlsplit(url)
    port = parts.port if parts.port is not None else {"https": 443, "http": 80}.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


def redirect_target(status: int, location: str | None, url: str) -> str | None:
    """Where an answer sends on to, as an absolute address; None when it is no redirect.

    Raises Transient for a redirect to nowhere.
    """
    if status not in (301, 302, 303, 307, 308):
        return None
    target = urljoin(url, location or "")
    try:
        if not location or urlsplit(target).scheme not in ("http", "https") or not origin(target)[1]:
            raise ValueError
    except ValueError:
        raise Transient(f"{urlsplit(url).netloc} answered {status} without an address to go to") from None
    return target
