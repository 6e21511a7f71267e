"""S3 fetch: an object into a file, in ranges side by side, appended in order and hashed as they come."""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from ten.errors import DataError, StoreError
from ten.store.crew import Crew, Job
from ten.store.part_copy import PartCopy
from ten.store.s3_bucket import S3Bucket
from ten.store.s3_reading import Changed, Head, Reading
from ten.store.s3_refusals import Refused

RANGE = 17 * 2**20
"""Bytes that are asked for at once: a full shard in two requests (docs/scale.md)."""
_VERSIONS = 3
_log = logging.getLogger(__name__)


def fetch_into(
    bucket: S3Bucket, crew: Crew, key: str, path: Path, sha256: str | None, advance: Callable[[int], object]
) -> None:
    """Copy an object into a file, gone on with where an earlier call left one.

    Raises DataError when its hash is another one, twice: once is what the way here may have done.
    """
    with PartCopy(path, durable=False) as copy:
        try:
            _fetch(bucket, crew, key, copy, sha256, advance)
            return
        except DataError as error:
            _log.warning("%s; fetched again", error)
    with PartCopy(path, durable=False) as copy:
        _fetch(bucket, crew, key, copy, sha256, advance)


def hash_of(bucket: S3Bucket, crew: Crew, key: str) -> tuple[str, Head]:
    """The sha256 of an object's bytes as they are in the store now, and what is said of it."""
    for _ in range(_VERSIONS):
        digest = hashlib.sha256()
        try:
            with_first = _open(bucket, key, 0)
            for pieces in _ranges(bucket, crew, key, 0, *with_first):
                for piece in pieces:
                    digest.update(piece)
            return digest.hexdigest(), with_first[1]
        except Changed:
            continue
    raise _keeps_changing(bucket, key)


def _fetch(
    bucket: S3Bucket, crew: Crew, key: str, copy: PartCopy, sha256: str | None, advance: Callable[[int], object]
) -> None:
    if copy.bytes:
        advance(copy.bytes)
    for _ in range(_VERSIONS):
        try:
            reading, head = _open(bucket, key, copy.bytes)
            wanted = sha256 or head.sha256
            if copy.bytes and (copy.bytes > head.bytes or wanted is None):  # nothing says what they are of
                reading.close()
                _begin_anew(copy, advance)
                reading, head = _open(bucket, key, 0)
            for pieces in _ranges(bucket, crew, key, copy.bytes, reading, head):
                before = copy.bytes
                copy.extend(pieces)
                advance(copy.bytes - before)
            if copy.bytes != head.bytes:
                raise Changed
        except Changed:
            _begin_anew(copy, advance)
            continue
        try:
            copy.publish(wanted, bucket.name(key))
            return
        except DataError:
            advance(-copy.bytes)
            raise
    raise _keeps_changing(bucket, key)


def _open(bucket: S3Bucket, key: str, start: int) -> tuple[Reading, Head]:
    """The first range from `start` on, its bytes still to come; an empty one at the object's end."""
    reading = Reading(bucket, key, start, start + RANGE)
    try:
        return reading, reading.open()
    except Refused:  # nothing lies there: all is here, or more than there is
        last = Reading(bucket, key, 0, 1)
        head = last.open()
        if start < head.bytes:
            last.close()
            raise Changed from None
        return last, head


def _ranges(bucket: S3Bucket, crew: Crew, key: str, start: int, first: Reading, head: Head) -> Iterator[list[bytes]]:
    """The bytes from `start` on, in order and in pieces, while further ranges are on their way."""
    if start >= head.bytes:
        return first.close()
    rest = iter(range(start + RANGE, head.bytes, RANGE))
    waiting: deque[Job[list[bytes]]] = deque()

    def send_off() -> None:
        at = next(rest, None)
        if at is not None:
            end = min(at + RANGE, head.bytes)
            waiting.append(crew.submit(lambda hangup: Reading(bucket, key, at, end, hangup).pieces(head)))

    try:
        for _ in range(max(1, crew.width - 1)):
            send_off()
        yield first.pieces()
        while waiting:
            pieces = waiting.popleft().result()
            send_off()
            yield pieces
            del pieces
    finally:
        first.close()
        for job in waiting:
            job.cut()


def _begin_anew(copy: PartCopy, advance: Callable[[int], object]) -> None:
    advance(-copy.bytes)
    copy.begin_anew()


def _keeps_changing(bucket: S3Bucket, key: str) -> StoreError:
    return StoreError(f"{bucket.name(key)}: was replaced again and again while it was read; who writes it?")
