"""S3 upload: bytes and files into objects, in parts side by side, with what is known of them noted."""

import hashlib
import io
import logging
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from ten.calls.hangup import Hangup
from ten.calls.patience import Persistence
from ten.calls.retry import Pace, Transient
from ten.errors import StoreError, TenError
from ten.store.crew import Crew, Job
from ten.store.s3_bucket import S3Bucket
from ten.store.s3_reading import check_pace
from ten.store.s3_refusals import Refused

ONE_PUT = 2**26
"""Files up to this many bytes are sent in one request: every shard is (docs/scale.md)."""
PART = 2**24
_MOST_PARTS = 10_000
_ABOUT_BYTES = 1900
"""How long a note may be, of 2 KB that all of an object's notes have (S3, user-defined metadata)."""
_LEFT_OVER = timedelta(days=1)
_ENDING_S = 2.0
_log = logging.getLogger(__name__)


def notes(sha256: str, about: str = "", writer: str = "") -> dict[str, str]:
    """An object's metadata. Raises ValueError when `about` is longer than fits."""
    quoted = quote(about)
    if len(quoted) > _ABOUT_BYTES:
        raise ValueError(f"a note of {len(quoted)} bytes, of which {_ABOUT_BYTES} fit")
    all_of_them = {"sha256": sha256, "about": quoted, "writer": writer}
    return {name: value for name, value in all_of_them.items() if value}


def put(bucket: S3Bucket, key: str, data: bytes, metadata: dict[str, str], *, only_new: bool = False) -> None:
    """An object in one request. Raises Refused where there is one and `only_new` was asked for."""
    more = {"IfNoneMatch": "*"} if only_new else {}
    _send_body(bucket, "put_object", key, data, None, Metadata=metadata, **more)


def put_in_parts(
    bucket: S3Bucket,
    crew: Crew,
    key: str,
    pieces: Iterable[bytes],
    size: int,
    metadata: dict[str, str],
    advance: Callable[[int], object],
) -> None:
    """An object in parts; what `pieces` raises, and any other end, leaves none."""
    abort_left_over(bucket, key)
    upload = bucket.ask("create_multipart_upload", key, Metadata=metadata)["UploadId"]
    waiting: deque[Job[dict[str, Any]]] = deque()
    try:
        parts = _parts(bucket, crew, key, upload, _blocks(pieces, part_size(size)), waiting, advance)
        _complete(bucket, key, upload, list(parts), metadata["sha256"], size)
    except BaseException:
        _abandon(bucket, crew, key, upload, waiting)
        raise


def part_size(size: int) -> int:
    """Bytes of a part: whole MiB, so many that the parts are no more than a service takes."""
    return max(PART, -(-size // (_MOST_PARTS * 2**20)) * 2**20)


def abort_left_over(bucket: S3Bucket, key: str) -> None:
    """End uploads of this object that were begun more than a day ago: they are paid for until somebody does."""
    try:
        begun = bucket.ask("list_multipart_uploads", key, Prefix=bucket.settings.prefix + key).get("Uploads", [])
        for upload in begun:
            if upload["Key"] == bucket.settings.prefix + key and datetime.now(UTC) - upload["Initiated"] > _LEFT_OVER:
                bucket.ask("abort_multipart_upload", key, UploadId=upload["UploadId"])
    except (StoreError, Refused) as error:
        _log.debug("%s: uploads left over cannot be listed: %s", bucket.name(key), error)


def _parts(
    bucket: S3Bucket,
    crew: Crew,
    key: str,
    upload: str,
    blocks: Iterator[bytes],
    waiting: deque[Job[dict[str, Any]]],
    advance: Callable[[int], object],
) -> Iterator[dict[str, Any]]:
    """What the service says of each part, in order, while further ones are on their way."""

    def send(block: bytes, number: int) -> Callable[[Hangup], dict[str, Any]]:
        def work(hangup: Hangup) -> dict[str, Any]:
            answer = _send_body(bucket, "upload_part", key, block, hangup, UploadId=upload, PartNumber=number)
            return {"ETag": answer["ETag"], "PartNumber": number, "bytes": len(block)}

        return work

    def arrived() -> dict[str, Any]:
        part = waiting[0].result()
        waiting.popleft()
        advance(part.pop("bytes"))
        return part

    for number, block in enumerate(blocks, 1):
        waiting.append(crew.submit(send(block, number)))
        if len(waiting) >= crew.width:
            yield arrived()
    while waiting:
        yield arrived()


def _complete(bucket: S3Bucket, key: str, upload: str, parts: list[dict[str, Any]], sha256: str, size: int) -> None:
    try:
        bucket.ask("complete_multipart_upload", key, UploadId=upload, MultipartUpload={"Parts": parts})
    except Refused as refused:  # an answer that got lost may have said that it is done
        there = _noted(bucket, key)
        if there != (sha256, size):
            raise StoreError(f"{bucket.name(key)}: the upload ended before it was whole ({refused.code})") from None
        return
    there = _noted(bucket, key)
    if there[0] == sha256 and there[1] != size:
        raise StoreError(f"{bucket.name(key)}: {size} bytes were sent, and {there[1]} are there")


def _noted(bucket: S3Bucket, key: str) -> tuple[str | None, int]:
    answer = bucket.ask("head_object", key)
    return answer.get("Metadata", {}).get("sha256"), int(answer["ContentLength"])


def _abandon(bucket: S3Bucket, crew: Crew, key: str, upload: str, waiting: deque[Job[dict[str, Any]]]) -> None:
    """Take an upload back; parts under way are given a moment, since one that arrives later would be kept."""
    for job in waiting:
        job.cut()
    end = time.monotonic() + _ENDING_S
    for job in waiting:
        job.finished(max(0.0, end - time.monotonic()))

    def take_back(hangup: Hangup) -> None:
        try:
            bucket.attempt("abort_multipart_upload", key, bucket.persistence(key, hangup), UploadId=upload)
        except (TenError, Refused, Transient) as error:
            _log.debug("%s: an upload that failed could not be taken back: %s", bucket.name(key), error)

    crew.submit(take_back).finished(_ENDING_S)


def _blocks(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of `size`, the last one shorter."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(memoryview(held)[:size])
            del held[:size]
    if held:
        yield bytes(held)


def _send_body(
    bucket: S3Bucket, operation: str, key: str, data: bytes, hangup: Hangup | None, **more: Any
) -> dict[str, Any]:
    persistence = bucket.persistence(key, hangup)
    md5 = b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()

    def attempt() -> dict[str, Any]:
        with _Body(data, persistence) as body:
            return bucket.attempt(operation, key, persistence, Body=body, ContentMD5=md5, **more)

    return persistence.insist(attempt)


class _Body(io.BytesIO):
    """Bytes on their way: so handed over that each piece may take as long as the whole else may."""

    def __init__(self, data: bytes, persistence: Persistence) -> None:
        super().__init__(data)
        self._persistence = persistence
        self._pace = Pace(persistence.patience.silence_s, time.monotonic())

    def read(self, size: int | None = -1, /) -> bytes:
        self._persistence.hangup.check()
        piece = super().read(size)
        if piece:
            check_pace(self._pace, len(piece), self._persistence)
            self._persistence.reached(self.tell())
        return piece
