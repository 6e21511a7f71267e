"""Terminal: what a verb has to say, on stdout."""

import sys
from collections.abc import Iterable

import msgspec


def show(text: str) -> None:
    """Print a result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show_as_it_comes(pieces: Iterable[str]) -> None:
    """Print a text whose pieces take their time, and end its line."""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def as_json(value: object) -> str:
    """A result for programs."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
