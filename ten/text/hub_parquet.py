"""Parquet at the hub: a file's footer and single column chunks by ranged reads, nothing else of it."""

import io
import threading
from collections.abc import Generator
from contextlib import closing
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet

from ten.errors import DataError
from ten.hub.address import parse_address
from ten.hub.ranges import fetch_ahead
from ten.hub.transport import shared_transport
from ten.text.corpus import SourceFile
from ten.text.flow import Flow

_LEAST_TAIL_BYTES = 128 * 2**10
_FILE_BYTES_PER_FOOTER_BYTE = 1024
"""A footer takes 1 to 3 KiB a row group of ten columns, and these have some 3.5 MB: one read nearly always does."""
_MAGIC = b"PAR1"


class HubParquet:
    """An open Parquet file at the hub."""

    def __init__(self, file: SourceFile) -> None:
        """Raises DataError when the file does not end as Parquet does, and what the hub says."""
        self._file = file
        self._held = _HeldRange(file)
        self.parquet = pyarrow.parquet.ParquetFile(
            self._held, metadata=_footer(file), pre_buffer=False, page_checksum_verification=True
        )

    def groups(self, groups: range, column: str, flow: Flow) -> Generator[int]:
        """The row groups, each when its column is at hand, further ones being fetched meanwhile."""
        address = parse_address(self._file.path)
        places = [self._place(group, column) for group in groups]
        ranges = ((address, *place) for place in places)
        with closing(fetch_ahead(shared_transport(), ranges, flow.ahead, self._file.bytes)) as fetched:
            for group, (start, _), data in zip(groups, places, flow.timed(fetched), strict=True):
                self._held.hold(start, data)
                yield group

    def fetch_again(self, group: int, column: str) -> None:
        """Have a row group's column at hand anew: what came first did not decode."""
        start, stop = self._place(group, column)
        shared_transport().forget(parse_address(self._file.path))
        self._held.hold(start, _fetch(self._file, start, stop))

    def _place(self, group: int, column: str) -> tuple[int, int]:
        """Where a column of a row group lies in the file: its dictionary, where it has one, and its data."""
        row_group = self.parquet.metadata.row_group(group)
        chunks = (row_group.column(index) for index in range(row_group.num_columns))
        chunk = next(chunk for chunk in chunks if chunk.path_in_schema == column)
        start = chunk.data_page_offset
        if chunk.has_dictionary_page and chunk.dictionary_page_offset:
            start = min(start, chunk.dictionary_page_offset)
        return start, start + chunk.total_compressed_size


class _HeldRange(io.RawIOBase):
    """The file as pyarrow sees it: one range is at hand, anything else that is read is fetched."""

    def __init__(self, file: SourceFile) -> None:
        super().__init__()
        self._file = file
        self._position = 0
        self._start, self._data = 0, b""

    def hold(self, start: int, data: bytes) -> None:
        """Have this range at hand, and no other."""
        self._start, self._data = start, data

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the file."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.bytes}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        """`size` bytes from where the file stands, fewer at its end."""
        begin = self._position
        end = self._file.bytes if size < 0 else min(self._file.bytes, begin + size)
        self._position = max(begin, end)
        if self._start <= begin and end <= self._start + len(self._data):
            return self._data[begin - self._start : end - self._start]
        return _fetch(self._file, begin, end) if end > begin else b""


def _footer(file: SourceFile) -> pyarrow.parquet.FileMetaData:
    """A file's footer, fetched once however many threads open the file."""
    with _opening.setdefault(file, threading.Lock()):
        return _read_footer(file)


_opening: dict[SourceFile, threading.Lock] = {}


@lru_cache(maxsize=256)
def _read_footer(file: SourceFile) -> pyarrow.parquet.FileMetaData:
    """A file's footer, fetched once more when it is none: it may have been damaged on the way."""
    for again in (False, True):
        if again:
            shared_transport().forget(parse_address(file.path))
        try:
            return pyarrow.parquet.read_metadata(pa.BufferReader(_MAGIC + _end_of(file)))
        except (pa.ArrowException, OSError) as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise DataError(
        f"{file.path}: not a whole Parquet file ({why}); it may be half written at the hub: choose another commit "
        "with --revision, or tell the data set's owners"
    )


def _end_of(file: SourceFile) -> bytes:
    """Footer, its length and the last mark, nearly always by one read. Raises ArrowInvalid where they are not."""
    size = file.bytes
    tail = _fetch(file, max(0, size - max(_LEAST_TAIL_BYTES, size // _FILE_BYTES_PER_FOOTER_BYTE)), size)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if tail[-4:] != _MAGIC or length + len(_MAGIC) > size:
        raise pa.ArrowInvalid("it does not end as one")
    if length > len(tail):
        tail = _fetch(file, size - length, size - len(tail)) + tail
    return tail[-length:]


def _fetch(file: SourceFile, start: int, stop: int) -> bytes:
    """Some bytes of the file, by a thread that can be told to give up."""
    place = [(parse_address(file.path), start, stop)]
    with closing(fetch_ahead(shared_transport(), place, lambda: 0, file.bytes)) as fetched:
        return next(fetched)
