"""Answer: one host's answer to one request; its body comes as it comes, and its end is checked."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from ten.calls.failure import failure
from ten.calls.patience import Persistence
from ten.calls.retry import USEFUL_BYTES_PER_S, Pace, Transient
from ten.hub.content_range import content_length
from ten.units import format_seconds

_AT_ONCE = 1 << 18
_WORTH_READING = 1 << 14


class Answer:
    """Status, headers and a body to be read once. Used in a `with`, which ends it."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, persistence: Persistence) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url, self.host = url, urlsplit(url).netloc
        self._response, self._persistence = response, persistence

    def __enter__(self) -> "Answer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Keep the connection for the next request when the body was read, or is small and there; close it else."""
        length = content_length(self.headers)
        if self.status not in (200, 206) and length is not None and length <= _WORTH_READING:
            with suppress(HTTPError, OSError, ValueError):  # then the connection is not worth keeping
                self._response.read1(max(1, length))
        self._persistence.hangup.hold(None)
        self._response.close()
        self._response.release_conn()

    def receive(self, wanted: int | None) -> Iterator[bytes]:
        """Exactly `wanted` further bytes of the body, or all of it, piece by piece.

        Raises Transient when the connection breaks, ends early or is too slow; what was yielded before is good.
        """
        pace, count = Pace(self._persistence.patience.silence_s, time.monotonic()), 0
        while wanted is None or count < wanted:
            piece = self._piece(_AT_ONCE if wanted is None else min(_AT_ONCE, wanted - count))
            if not piece:
                break
            count += len(piece)
            yield piece
            if wanted is None or count < wanted:
                self._check_pace(pace, len(piece))
        if wanted is not None and count < wanted:
            raise Transient(f"{self.host}: the answer ended {wanted - count} bytes early")

    def _piece(self, most: int) -> bytes:
        try:
            piece = self._response.read1(most)
        except (HTTPError, OSError, ValueError) as error:  # ValueError: the socket was shut by another thread
            self._persistence.hangup.check()
            raise failure(error, self.url, self._persistence.patience.silence_s) from None
        self._persistence.hangup.check()
        return piece

    def _check_pace(self, pace: Pace, count: int) -> None:
        now = time.monotonic()
        pace.add(count, now)
        if pace.too_slow(now):
            window = format_seconds(self._persistence.patience.silence_s)
            raise Transient(f"{self.host}: less than {USEFUL_BYTES_PER_S} bytes/s over {window}")
        if self._persistence.left_s() < 0:
            raise Transient(f"{self.host}: too slow to be of use")
