"""What goes wrong at the stand-in of DigitalOcean's API: rules that say which requests are hit, and how."""

import re
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ApiFault:
    """One rule: the first that matches a request acts on it."""

    action: Literal["status", "unanswered", "lost"] = "status"
    """status: an error instead of an answer. unanswered: what is asked for is done, and the connection closed without
    a word. lost: closed before anything is done."""
    match: str = ""
    """Regular expression searched in "METHOD /path?query"."""
    after: int = 0
    """Matching requests let through first."""
    count: int = 1
    """Requests hit after that; -1 for all."""
    status: int = 503
    message: str = "Server Error"
    headers: dict[str, str] = field(default_factory=dict)

    def matches(self, _port: str, line: str, _start: int) -> bool:
        """Whether a request is one of those meant."""
        return re.search(self.match, line) is not None
