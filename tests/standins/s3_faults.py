"""What goes wrong in front of the stand-in of an object store: rules that say which requests are hit, and how."""

import re
from dataclasses import dataclass, field
from typing import Literal

Action = Literal[
    "wait", "hang", "reset", "refuse", "lost", "drop", "fin", "stall", "trickle", "wrong_bytes", "short",
]  # fmt: skip
"""wait: the answer comes after `seconds`. hang: no answer for `seconds`, then closed. reset: before any answer.
refuse: the error `code` as the store words it. lost: the request is carried out, but its answer never comes (reset).

The others act in the middle of the body: the request's own where it has one, else the answer's.
drop: reset after `bytes`. fin: closed there, properly. stall: stops there for `seconds`, then goes on.
trickle: comes at `rate` bytes per second. wrong_bytes: the byte at `bytes` is flipped.
short (answers only): an answer of only `bytes` bytes that says nothing is missing."""


@dataclass(frozen=True)
class Fault:
    """One rule: the first that matches a request acts on it."""

    action: Action
    match: str = ""
    """Regular expression searched in "METHOD /bucket/key?query"."""
    after: int = 0
    """Matching requests let through first."""
    count: int = 1
    """Requests hit after that; -1 for all."""
    min_start: int = 0
    """Only requests for ranges that begin at this byte or behind it."""
    bytes: int = -1
    """Body bytes before it happens; -1 for half the body."""
    seconds: float = 3600.0
    """How long; with RequestTimeTooSkewed, by how much the server's clock is ahead."""
    rate: int = 100
    """Bytes per second."""
    code: str = "SlowDown"
    """The refusal: a key of `tests.standins.s3_refusals.REFUSALS`."""
    status: int = 0
    """Sent instead of the refusal's own; 200 is what a real store may answer to CompleteMultipartUpload."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with the refusal."""

    def matches(self, port: str, line: str, start: int) -> bool:
        """Whether a request is one of those meant."""
        return start >= self.min_start and re.search(self.match, line) is not None

    def position(self, length: int) -> int:
        """After how many bytes of a body of `length` it happens."""
        return length // 2 if self.bytes < 0 else min(self.bytes, length)
