"""S3 reading: a span of an object, exact, gone on with at the byte where a connection broke."""

import time
from typing import Any
from urllib.parse import unquote

import msgspec
from urllib3.exceptions import HTTPError

from ten.calls.hangup import Hangup
from ten.calls.patience import Persistence
from ten.calls.retry import Pace, Transient
from ten.store.s3_bucket import Answer, S3Bucket
from ten.store.s3_refusals import Refused
from ten.units import format_seconds

_AT_ONCE = 2**20


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of the object it is of."""

    bytes: int
    etag: str
    """Of this version of it, in no known way."""
    sha256: str | None
    about: str | None
    writer: str | None
    """Whose call made it, where it was made by `write_new`."""
    modified: float


class Changed(Exception):
    """The object is no longer the one that was begun with; never leaves the store."""


class Reading:
    """The bytes from `start` to `end`, or to the object's end."""

    def __init__(
        self, bucket: S3Bucket, key: str, start: int = 0, end: int | None = None, hangup: Hangup | None = None
    ) -> None:
        self.head: Head | None = None
        """Known once the first answer is there."""
        self._bucket, self._key = bucket, key
        self._start, self._end = start, end
        self._persistence = bucket.persistence(key, hangup)
        self._pieces: list[bytes] = []
        self._count = 0
        self._body: Any = None

    def open(self) -> Head:
        """Have the first answer come. Raises Refused for a start past the end, and what requests raise."""
        return self._persistence.insist(self._open)

    def take(self) -> bytes:
        """The bytes. Raises Changed when they are not all of one version."""
        return b"".join(self.pieces())

    def pieces(self, expected: Head | None = None) -> list[bytes]:
        """The bytes as they came. Raises Changed when they are not all of one version, or not of the expected one."""
        if self.head is not None and expected is not None:
            _check_same(self.head, expected)
        self.head = self.head or expected
        self._persistence.insist(self._receive)
        return self._pieces

    def close(self) -> None:
        """Let go of an answer that is not wanted any more."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _open(self) -> Head:
        at = self._start + self._count
        answer = self._answer(at)
        self._body = answer["Body"]
        try:
            head = _head_of(answer, at)
            if self.head is not None:
                _check_same(head, self.head)
        except BaseException:
            self.close()
            raise
        self.head = self.head or head
        return self.head

    def _answer(self, at: int) -> Answer:
        """Always asked for as a range: only then does the answer say how long the whole is, and not just itself."""
        wanted = f"bytes={at}-{'' if self._end is None else self._end - 1}"
        try:
            return self._bucket.attempt("get_object", self._key, self._persistence, Range=wanted)
        except Refused:
            if at:
                raise
            return self._bucket.attempt("get_object", self._key, self._persistence)  # empty: it has no range

    def _receive(self) -> None:
        head = self._open() if self._body is None else self.head
        assert head is not None
        wanted = (head.bytes if self._end is None else min(self._end, head.bytes)) - self._start
        pace = Pace(self._persistence.patience.silence_s, time.monotonic())
        try:
            with self._body as raw:
                self._persistence.hangup.hold(getattr(raw.connection, "sock", None))
                while self._count < wanted:
                    piece = raw.read1(min(_AT_ONCE, wanted - self._count))
                    self._persistence.hangup.check()
                    if not piece:
                        raise Transient(f"the answer ended {wanted - self._count} bytes early")
                    self._keep(piece, pace)
                raw.read1(1)  # its end, so that the connection can be used again
        except (HTTPError, OSError, ValueError) as error:  # ValueError: the socket was shut by another thread
            self._persistence.hangup.check()
            raise self._bucket.failure(error, self._persistence) from None
        finally:
            self._persistence.hangup.hold(None)
            self._body = None

    def _keep(self, piece: bytes, pace: Pace) -> None:
        self._pieces.append(piece)
        self._count += len(piece)
        self._persistence.reached(self._count)
        check_pace(pace, len(piece), self._persistence)


def check_pace(pace: Pace, count: int, persistence: Persistence) -> None:
    """Raises Transient where bytes come, or go, too slowly to be of use."""
    now = time.monotonic()
    pace.add(count, now)
    if pace.too_slow(now):
        raise Transient(f"hardly a byte in {format_seconds(persistence.patience.silence_s)}")
    if persistence.left_s() < 0:
        raise Transient("too slow to be of use")


def note_of(text: str | None) -> str | None:
    """A note as its writer wrote it, from the form that fits into a header."""
    return None if text is None else unquote(text)


def _head_of(answer: Answer, at: int) -> Head:
    """Raises Transient when the answer is not from byte `at` on."""
    unit, _, span = str(answer.get("ContentRange", "")).partition(" ")
    first, total = span.partition("-")[0], span.rpartition("/")[2]
    if span and (unit != "bytes" or first != str(at) or not total.isdecimal()):
        raise Transient(f"answered with {span!r} where bytes from {at} on were asked for")
    if not span and at:
        raise Transient(f"answered with the whole where bytes from {at} on were asked for")
    size = int(total) if span else int(answer["ContentLength"])
    metadata = answer.get("Metadata", {})
    return Head(
        bytes=size,
        etag=str(answer.get("ETag", "")),
        sha256=metadata.get("sha256"),
        about=note_of(metadata.get("about")),
        writer=metadata.get("writer"),
        modified=answer["LastModified"].timestamp(),
    )


def _check_same(one: Head, other: Head) -> None:
    if (one.etag, one.bytes) != (other.etag, other.bytes):
        raise Changed
