"""Bodies on their way through the stand-in of an object store: at a speed, with a fault in their middle."""

import time
from collections.abc import Callable, Iterator

from tests.standins.s3_faults import Fault

_BLOCK = 256 * 1024


class BrokenOff(Exception):
    """The connection is to end here: by RST (`drop`) or properly (`fin`)."""


def blocks_of(read: Callable[[int], bytes], length: int, rate: int, fault: Fault | None) -> Iterator[bytes]:
    """A body of `length` bytes at `rate` bytes per second (0: as fast as it goes), late or damaged as the fault has it.

    Raises BrokenOff where a fault ends it, or its source does before it should.
    """
    action = fault.action if fault else None
    if fault and action == "trickle":
        rate = fault.rate
    place = fault.position(length) if fault and action in ("drop", "fin", "stall", "wrong_bytes") else -1
    block, done, began = max(1, min(_BLOCK, rate // 20)) if rate else _BLOCK, 0, time.monotonic()
    while True:
        if fault and done == place:
            _act(fault)
        if done == length:
            return
        piece = read(min([edge for edge in (place, length) if edge > done] + [done + block]) - done)
        if not piece:
            raise BrokenOff("fin")
        yield _flipped(piece) if action == "wrong_bytes" and done == place else piece
        done += len(piece)
        if rate:
            time.sleep(max(0.0, began + done / rate - time.monotonic()))


def _act(fault: Fault) -> None:
    """Do what a fault does at its place."""
    if fault.action == "stall":
        time.sleep(fault.seconds)
    elif fault.action in ("drop", "fin"):
        raise BrokenOff(fault.action)


def _flipped(piece: bytes) -> bytes:
    """The same bytes but for the first."""
    return bytes([piece[0] ^ 0x40]) + piece[1:]
