"""Signed URLs of the stand-in's file host: issued by the hub, good for a while, renewable."""

import hashlib
import itertools
import secrets
import threading
import time


class Signatures:
    """Issues and checks the value of `X-Signed` in a file's URL."""

    def __init__(self) -> None:
        self.life_s = 3600.0
        self._secret = secrets.token_hex(16)
        self._serial = itertools.count()
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def issue(self, path: str) -> str:
        """A signature for a path of the file host, good for `life_s` seconds."""
        with self._lock:
            serial = str(next(self._serial))
            self._ends[serial] = time.monotonic() + self.life_s
        return f"{serial}.{self._seal(serial, path)}"

    def holds(self, signature: str, path: str) -> bool:
        """Whether a signature is this path's and still good."""
        serial, _, seal = signature.partition(".")
        return seal == self._seal(serial, path) and self._ends.get(serial, 0.0) > time.monotonic()

    def expire(self, signature: str | None = None) -> None:
        """End a signature; all that have been issued when None."""
        with self._lock:
            for serial in list(self._ends) if signature is None else [signature.partition(".")[0]]:
                self._ends[serial] = 0.0

    def _seal(self, serial: str, path: str) -> str:
        return hashlib.sha256(f"{self._secret} {serial} {path}".encode()).hexdigest()[:32]
