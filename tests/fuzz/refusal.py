"""The two outcomes that bad input may have: an answer, or a TenError that names the file."""

from collections.abc import Callable
from typing import Any

from ten.errors import TenError


def answer_or_refusal(read: Callable[[], Any], name: object) -> Any:
    """What `read` gives; None where it raised a TenError, which must name the thing and fit on a screen."""
    try:
        return read()
    except TenError as error:
        assert str(name) in str(error)
        assert len(str(error)) < 2000
        return None
