"""What goes wrong at the stand-in of the hub: rules that say which requests are hit, and how."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

Action = Literal[
    "drop", "fin", "reset", "stall", "hang", "trickle", "status", "wrong_bytes", "short", "ignore_range", "html",
    "redirect", "expired", "resize",
]  # fmt: skip
"""drop: the connection is reset after `bytes` of the body. fin: closed there, properly. reset: before any answer.
stall: the body stops there for `seconds`, then goes on. hang: no answer for `seconds`, then closed.
trickle: the body comes at `rate` bytes per second. status: `status` with `headers` instead of an answer.
wrong_bytes: the right length, but garbage from byte `bytes` of the body on.
short: an honest 206 over only the first `bytes` of what was asked. ignore_range: 200 and the whole file.
html: 200 and a page, as from a hotel's network. redirect: 302 to the same path at the origin `to`.
expired: 403 on this signed URL from now on; a new one works. resize: the file seems to have `size` bytes."""


@dataclass(frozen=True)
class Fault:
    """One rule: the first that matches a request acts on it."""

    action: Action
    match: str = ""
    """Regular expression searched in "METHOD /path?query"."""
    port: Literal["hub", "cdn", "any"] = "any"
    after: int = 0
    """Matching requests let through first."""
    count: int = 1
    """Requests hit after that; -1 for all."""
    min_start: int = 0
    """Only requests for ranges that begin at this byte or behind it."""
    bytes: int = -1
    """Body bytes before it happens; -1 for half the body, and for 0 with wrong_bytes."""
    seconds: float = 3600.0
    rate: int = 100
    """Bytes per second."""
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with `status`: Retry-After, X-Error-Code, RateLimit."""
    to: str = ""
    """Origin, e.g. http://localhost:1234."""
    size: int = 0

    def matches(self, port: str, line: str, start: int) -> bool:
        """Whether a request is one of those meant."""
        return self.port in ("any", port) and start >= self.min_start and re.search(self.match, line) is not None

    def position(self, length: int) -> int:
        """After how many bytes of a body of `length` it happens."""
        return length // 2 if self.bytes < 0 else min(self.bytes, length)


class Rule(Protocol):
    """What a fault is made of where it matters which requests it hits."""

    @property
    def after(self) -> int:
        """Matching requests let through first."""

    @property
    def count(self) -> int:
        """Requests hit after that; -1 for all."""

    def matches(self, port: str, line: str, start: int) -> bool:
        """Whether a request is one of those meant."""


AnyRule = TypeVar("AnyRule", bound=Rule)


class FaultRules(Generic[AnyRule]):
    """The rules in force and how often each has been met."""

    def __init__(self) -> None:
        self._rules: list[AnyRule] = []
        self._met: list[int] = []
        self._lock = threading.Lock()

    def add(self, rules: Iterable[AnyRule]) -> None:
        """Rules behind those in force."""
        with self._lock:
            for rule in rules:
                self._rules.append(rule)
                self._met.append(0)

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._rules, self._met = [], []

    def pick(self, port: str, line: str, start: int) -> AnyRule | None:
        """The fault that hits a request. A rule that lets a request pass leaves it to the rules behind."""
        with self._lock:
            for number, rule in enumerate(self._rules):
                if not rule.matches(port, line, start):
                    continue
                if rule.count >= 0 and self._met[number] >= rule.after + rule.count:
                    continue
                self._met[number] += 1
                if self._met[number] > rule.after:
                    return rule
        return None
