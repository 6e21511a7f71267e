"""What torchrun's variables say of this process among the others. No torch."""

import os

from ten.errors import SpecError


def number(name: str, default: int | None = None) -> int:
    """The number in RANK, WORLD_SIZE or LOCAL_RANK; SpecError when it is none, or missing without a default."""
    text = os.environ.get(name) or (None if default is None else str(default))
    if text is None or not text.isdigit():
        raise SpecError(f"{name}={text!r}: with WORLD_SIZE above 1 it must be a number; start the ranks with torchrun")
    return int(text)
