"""JSONL: one JSON object a line, plain (split at line ends) or compressed with gzip or zstd (not split)."""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, BinaryIO, cast

import msgspec

from ten.errors import DataError
from ten.hub.address import is_hub
from ten.spelling import in_words
from ten.text.corpus import SourceFile
from ten.text.flow import Flow
from ten.text.plain import MAX_DOCUMENT_BYTES, InvalidText, decode
from ten.text.sources import open_source
from ten.units import format_bytes

_MOST_COUNTED = 2**26
"""Bytes that are read again to say which line an error is in."""
_DAMAGE = (EOFError, OSError, zlib.error)
"""What reading a compressed file raises where it is not whole."""


def read_jsonl(
    file: SourceFile, part: int, parts: int, column: str, invalid: InvalidText, flow: Flow | None = None
) -> Iterator[str | None]:
    """The texts (None for nulls and absent keys) of the lines that start in part `part` of `parts`."""
    decoder = msgspec.json.Decoder(_record_type(column))
    for at, line in _lines(file, part, parts, flow):
        yield _parse(line, decoder, column, file, at, invalid)


def count_lines(file: SourceFile, part: int, parts: int, limit: int | None = None) -> int:
    """Records in a part: its lines that are not blank; at most `limit`, where reading stops."""
    return sum(1 for _ in islice(_lines(file, part, parts), limit))


def estimate_lines(file: SourceFile, seen: int) -> float:
    """About how many records a file has, judged by the bytes that its first `seen` records take."""
    first = list(islice(_lines(file, 0, 1, _only_what_is_read()), seen + 1))
    if len(first) <= seen:
        return len(first)
    taken = first[-1][0]
    return seen * file.bytes * _expansion(file) / taken


def _expansion(file: SourceFile) -> float:
    """Plain bytes per byte of a compressed file, measured on its first 4 MiB."""
    if file.format == ".jsonl":
        return 1.0
    with open_source(file, _only_what_is_read()) as source, _open(file, source) as stream:
        try:
            plain = len(stream.read(2**22))
        except _DAMAGE as error:
            raise DataError(f"{file.path}: damaged or cut short ({error}); fetch it again") from None
        return plain / max(1, source.tell())


def keys(file: SourceFile) -> tuple[list[str], list[str]]:
    """Keys of the first record that hold text (or null), and the others; both empty for a file without records."""
    with closing(_lines(file, 0, 1, _only_what_is_read())) as lines:
        at, line = next(lines, (0, b""))
    if not line:
        return [], []
    try:
        record = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{_place(file, at)} is no JSON ({error}); .jsonl has one object a line") from None
    if not isinstance(record, dict):
        raise DataError(f"{_place(file, at)} is JSON, but no object; .jsonl has one object a line")
    texts = [key for key, value in record.items() if isinstance(value, str) or value is None]
    return texts, [key for key in record if key not in texts]


def is_lines(file: SourceFile) -> bool:
    """Whether a file's first line that is not blank is, by itself, a JSON object with a text in it.

    No more is read of a file that begins otherwise. Raises DataError for one that cannot be decompressed.
    """
    with open_source(file, _only_what_is_read()) as source, _open(file, source) as stream:
        try:
            head = stream.read(2**16).removeprefix(codecs.BOM_UTF8).lstrip()
            if not head.startswith(b"{"):
                return False
            line = head if b"\n" in head else head + stream.readline(MAX_DOCUMENT_BYTES)
        except _DAMAGE as error:
            raise DataError(f"{file.path}: damaged or cut short ({error}); fetch it again") from None
    try:
        record = msgspec.json.decode(line.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return any(isinstance(value, str) for value in record.values())


def _only_what_is_read() -> Flow:
    """For a look at the start of a file: nothing is fetched ahead."""
    return Flow(ahead=lambda: 0)


def _lines(file: SourceFile, part: int, parts: int, flow: Flow | None = None) -> Generator[tuple[int, bytes]]:
    """Byte position and content of each line that is not blank."""
    begin, end = file.bytes * part // parts, file.bytes * (part + 1) // parts
    with open_source(file, flow, end) as source, _open(file, source) as stream:
        at = begin
        if begin:  # the line that reaches over the cut belongs to the part before
            stream.seek(begin - 1)
            at = begin - 1 + len(_next_line(stream, file, begin - 1))
        while parts == 1 or at < end:
            line = _next_line(stream, file, at)
            if not line:
                return
            content = line.removeprefix(codecs.BOM_UTF8) if at == 0 else line
            if content.strip():
                yield at, content
            at += len(line)


def _next_line(stream: BinaryIO, file: SourceFile, at: int) -> bytes:
    try:
        line = stream.readline(MAX_DOCUMENT_BYTES)
    except _DAMAGE as error:
        raise DataError(
            f"{file.path}: damaged or cut short {at} bytes into its text ({error}); fetch it again"
        ) from None
    if len(line) == MAX_DOCUMENT_BYTES:
        limit = format_bytes(MAX_DOCUMENT_BYTES)
        raise DataError(f"{file.path}: the line at byte {at} is longer than {limit}; .jsonl has one object a line")
    return line


def _open(file: SourceFile, source: BinaryIO) -> BinaryIO:
    """The plain bytes of a file whose stored bytes are `source`."""
    if file.format == ".jsonl.gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=source))
    if file.format == ".jsonl.zst":
        return cast(BinaryIO, io.BufferedReader(_ZstdReader(source), 2**20))
    return source


class _ZstdReader(io.RawIOBase):
    """Decompresses a file of one or more zstd frames; unlike the library's own stream it notices a missing end."""

    def __init__(self, source: BinaryIO) -> None:
        import zstandard

        self._source = source
        self._error = zstandard.ZstdError
        self._new_frame = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._pending = b""
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with plain bytes; EOFError when the file ends inside a frame, OSError when it is damaged."""
        while not self._ready:
            data = self._pending or self._source.read(2**17)
            if not data:
                if self._frame is not None:
                    raise EOFError("the file ends inside a zstd frame")
                return 0
            self._decompress(data)
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _decompress(self, data: bytes) -> None:
        self._frame = self._frame or self._new_frame()
        try:
            self._ready = self._frame.decompress(data)
        except self._error as error:
            raise OSError(str(error)) from None
        self._pending = b""
        if self._frame.eof:
            self._pending, self._frame = self._frame.unused_data, None


def _record_type(column: str) -> type[Any]:
    """A struct that decodes only the text and skips everything else in a line."""
    return msgspec.defstruct("Record", [("text", str | None, None)], rename={"text": column})


def _parse(line: bytes, decoder: Any, column: str, file: SourceFile, at: int, invalid: InvalidText) -> str | None:
    try:
        return cast("str | None", decoder.decode(line).text)
    except (ValueError, RecursionError) as error:
        try:
            if invalid == "replace":
                return _repaired(line, column)
            decode(line, file, at, invalid)  # raises where the line is not UTF-8
        except (ValueError, AttributeError, RecursionError):
            pass  # not repairable: the first error says more
        said = f"is no record with a text: {in_words(str(error))}; mend that line or take it out"
        raise DataError(f"{_place(file, at)} {said}") from None


def _place(file: SourceFile, at: int) -> str:
    """Where a line lies that is wrong: its number too, where lines can be counted in a moment."""
    if is_hub(file.path) or at > _MOST_COUNTED:
        return f"{file.path}: the line at byte {at}"
    with open_source(file) as source, _open(file, source) as stream:
        number = 1 + stream.read(at).count(b"\n")
    return f"{file.path}: line {number} (at byte {at})"


def _repaired(line: bytes, column: str) -> str | None:
    """The text of a line with U+FFFD for bytes that are not UTF-8 and for escapes that are half a surrogate pair."""
    text = json.loads(line.decode("utf-8", errors="replace")).get(column)
    return None if text is None else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
