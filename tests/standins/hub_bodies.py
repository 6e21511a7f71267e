"""How the stand-in of the hub sends a file: ranges, the speed of a connection, and faults in mid-body."""

import fcntl
import io
import re
import socket
import struct
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.standins.hub_faults import Fault

_SOCKET_DRAINS_S = 2.0
_BLOCK = 256 * 1024
_GARBAGE = bytes(value ^ 0xFF for value in range(256))


@dataclass(frozen=True)
class Span:
    """Which bytes of a file an answer holds."""

    start: int
    stop: int
    size: int
    """Of the whole file, as the answer says it."""
    partial: bool

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self.stop - self.start

    def headers(self) -> dict[str, str]:
        """Content-Length, and Content-Range of a partial answer."""
        content = {"Content-Range": f"bytes {self.start}-{self.stop - 1}/{self.size}"} if self.partial else {}
        return {"Content-Length": str(self.length), **content}


def first_byte(asked: str) -> int:
    """Where a Range header begins; 0 without one."""
    found = re.match(r"bytes=(\d+)-", asked)
    return int(found[1]) if found else 0


def span_of(asked: str, size: int, fault: Fault | None) -> Span | None:
    """The bytes to send for a Range header ("" for the whole file); None when it begins behind the end."""
    action = fault.action if fault else None
    if fault and action == "resize":
        size = fault.size
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    if found is None or asked == "bytes=-" or action == "ignore_range":
        return Span(0, size, size, False)
    start = int(found[1]) if found[1] else max(0, size - int(found[2]))
    stop = min(int(found[2]) + 1, size) if found[1] and found[2] else size
    if start >= size:
        return None
    if fault and action == "short":
        stop = start + max(1, fault.position(stop - start))
    return Span(start, stop, size, True)


class BodySender:
    """Sends spans of files over one connection; `sent` counts body bytes as they go."""

    def __init__(self, connection: socket.socket) -> None:
        self.sent = 0
        self._connection = connection

    def send(self, body: Path | bytes, span: Span, rate: int, fault: Fault | None) -> bool:
        """Send a span of a file or of bytes at `rate` bytes per second (0: as fast as it goes).

        False when the connection must end here.
        """
        with body.open("rb") if isinstance(body, Path) else io.BytesIO(body) as source:
            if fault is None and not rate and isinstance(source, io.BufferedReader) and span.length:
                self.sent = self._connection.sendfile(source, span.start, span.length)
                return True
            return self._send_blocks(source, span, rate, fault)

    def _send_blocks(self, source: IO[bytes], span: Span, rate: int, fault: Fault | None) -> bool:
        action = fault.action if fault else None
        if fault and action == "trickle":
            rate = fault.rate
        cut = fault.position(span.length) if fault and action in ("drop", "fin", "stall") else -1
        good = max(0, fault.bytes) if fault and action == "wrong_bytes" else span.length
        began = time.monotonic()
        blocks = _blocks(source, span, rate, (cut, good))
        while True:
            if self.sent == cut and fault and not self._go_on(fault):
                return False
            block = next(blocks, b"")
            if not block:
                return True
            self._connection.sendall(block if self.sent < good else block.translate(_GARBAGE))
            self.sent += len(block)
            if rate:
                time.sleep(max(0.0, began + self.sent / rate - time.monotonic()))

    def _go_on(self, fault: Fault) -> bool:
        """Act at the place of a fault; whether the body goes on."""
        if fault.action == "stall":
            time.sleep(fault.seconds)
        if fault.action == "drop":
            self.reset()
        return fault.action == "stall"

    def reset(self) -> None:
        """End the connection by RST, once all that was sent has arrived."""
        deadline = time.monotonic() + _SOCKET_DRAINS_S
        while time.monotonic() < deadline:
            (waiting,) = struct.unpack("i", fcntl.ioctl(self._connection, termios.TIOCOUTQ, b"\0\0\0\0"))
            if not waiting:
                break
            time.sleep(0.001)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


def _blocks(source: IO[bytes], span: Span, rate: int, edges: tuple[int, ...]) -> Iterator[bytes]:
    """The bytes of a span, zeros behind the file's end; no block crosses an edge or takes longer than 50 ms."""
    block = max(1, min(_BLOCK, rate // 20)) if rate else _BLOCK
    sent = 0
    source.seek(span.start)
    while sent < span.length:
        end = min([edge for edge in edges if edge > sent] + [span.length, sent + block])
        yield source.read(end - sent).ljust(end - sent, b"\0")
        sent = end
