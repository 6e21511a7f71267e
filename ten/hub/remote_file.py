"""Remote file: a file at the hub as a file object that reads ahead of whoever reads it from front to back."""

import io
import os
from collections.abc import Callable, Generator
from typing import Any

from ten.hub.address import HubAddress
from ten.hub.ranges import Range, fetch_ahead
from ten.hub.transport import Transport

_FIRST_BYTES, _BLOCK_BYTES = 512 << 10, 4 << 20
"""A small block first, so that the beginning is there soon; then blocks worth a request each."""
_REST_BYTES = 64 << 10
"""Behind the end of what is wanted: the rest of a line."""


class RemoteFile(io.RawIOBase):
    """Bytes of a file of known size. Wrap it in io.BufferedReader to read lines; close it to end what is in flight.

    Reads raise what `Transport.read` raises.
    """

    def __init__(
        self,
        transport: Transport,
        address: HubAddress,
        size: int,
        ahead: Callable[[], int],
        until: int | None = None,
    ) -> None:
        """Nothing from byte `until` on is fetched before it is read."""
        super().__init__()
        self.address, self.size = address, size
        self._until = size if until is None else until
        self._transport, self._ahead = transport, ahead
        self._position = 0
        self._block, self._block_start = b"", 0
        self._blocks: Generator[bytes, None, None] | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always; only a seek beyond the next block costs a request."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move; nothing is fetched before the next read."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError(f"{self.address}: seek to {base + offset}, before the beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` with up to its length of bytes; 0 at the end of the file."""
        if self.closed:
            raise ValueError(f"{self.address}: read after it was closed")
        target = memoryview(buffer).cast("B")
        if self._position >= self.size or not target:
            return 0
        self._reach()
        begin = self._position - self._block_start
        piece = memoryview(self._block)[begin : begin + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """End what is in flight."""
        if not self.closed:
            self._stop()
        super().close()

    def _reach(self) -> None:
        """Have the block that holds the position."""
        if self._position < self._block_start or self._position >= self._end + _BLOCK_BYTES:
            self._stop()
        if self._blocks is None:
            self._block, self._block_start = b"", self._position
            self._blocks = fetch_ahead(self._transport, self._ranges(self._position), self._ahead, self.size)
        try:
            while self._position >= self._end:
                block = next(self._blocks, None)
                if block is None:  # ahead of time: what lies behind is fetched piece by piece
                    self._stop()
                    return self._reach()
                self._block_start, self._block = self._end, block
        except BaseException:
            self._stop()  # the next read begins anew
            raise

    @property
    def _end(self) -> int:
        return self._block_start + len(self._block)

    def _ranges(self, start: int) -> Generator[Range, None, None]:
        length, end = _FIRST_BYTES, self._until
        if start >= end:
            end = min(self.size, start + _REST_BYTES)
        while start < end:
            stop = min(end, start + length)
            yield self.address, start, stop
            start, length = stop, _BLOCK_BYTES

    def _stop(self) -> None:
        blocks, self._blocks = self._blocks, None
        self._block, self._block_start = b"", self._position
        if blocks is not None:
            blocks.close()
