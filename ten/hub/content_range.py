"""Content-Range: what a partial answer says it holds, and whether that is what was asked."""

import re
from collections.abc import Mapping

import msgspec

from ten.calls.retry import Transient
from ten.errors import DataError

SMALL_FILE_BYTES = 8 << 20
"""A host that ignores ranges may send a whole file of this size for the sake of a part of it."""
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)


class ContentRange(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes [start, stop) of a file of `total` bytes, where the host knows that."""

    start: int
    stop: int
    total: int | None


def parse_content_range(text: str) -> ContentRange | None:
    """The header's numbers (RFC 9110 section 14.4); an unsatisfied range, `bytes */9`, is the empty one at 0.

    None for what is no such header or contradicts itself.
    """
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None:
        return None
    total = None if match[3] == "*" else int(match[3])
    if match[1] is None:
        return ContentRange(start=0, stop=0, total=total) if total is not None else None
    start, stop = int(match[1]), int(match[2]) + 1
    if stop <= start or (total is not None and stop > total):
        return None
    return ContentRange(start=start, stop=stop, total=total)


def check_size(name: str, found: int | None, listed: int | None, stop: int = 0) -> None:
    """Raises DataError when a file's size at the host is not the listed one, or is too small for what was asked."""
    if found is None:
        return
    if listed is not None and found != listed:
        raise DataError(
            f"{name}: the file at the host has {found} bytes and the listing says {listed}; "
            "it is half written or was replaced; choose another revision"
        )
    if found < stop:
        raise DataError(f"{name}: the file at the host has {found} bytes; bytes up to {stop} were asked for")


def check_part(
    name: str, status: int, headers: Mapping[str, str], start: int, stop: int, size: int | None
) -> tuple[int, int]:
    """How many bytes of the body to skip and how many then to take, of bytes [start, stop) that were asked for.

    Raises DataError for a file of another size and Transient for an answer that makes no sense.
    """
    length = content_length(headers)
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Transient("a compressed answer to a request for plain bytes")
    if status == 206:
        part = parse_content_range(headers.get("Content-Range", ""))
        if part is None:
            raise Transient(f"a part without a valid Content-Range ({headers.get('Content-Range', 'none')[:80]!r})")
        check_size(name, part.total, size, stop)
        if part.start != start or part.stop > stop:
            raise Transient(f"bytes {part.start}-{part.stop - 1} came where {start}-{stop - 1} were asked for")
        if length is not None and length != part.stop - part.start:
            raise Transient(f"a part of {part.stop - part.start} bytes announced as {length}")
        return 0, part.stop - part.start
    if length is None or (size is not None and length != size) or length < stop:
        known = "" if size is None else f" of a file of {size}"
        raise Transient(f"the range was ignored: an answer of {'unknown' if length is None else length} bytes{known}")
    if start > 0 and length > SMALL_FILE_BYTES:
        raise Transient(f"the range was ignored, and the whole file of {length} bytes is too much for a part of it")
    return start, stop - start


def content_length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body, if the answer says so."""
    text = headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None
