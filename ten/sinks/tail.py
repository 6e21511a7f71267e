"""Tail: the lines of a metrics.jsonl that are new since the last look, though the file is cut back or written anew."""

import os
from pathlib import Path

import msgspec

_AT_ONCE = 2**20
Line = dict[str, object]


class Tail:
    """Reads a file that another process appends to, replaces or amends; lines up to `after` are not told.

    A line is told once, by its step. The last line told is looked at again where the file was replaced: its held-out
    loss may have come later.
    """

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        self._after = after
        self._offset = 0
        self._file: int | None = None
        self._told: Line | None = None

    def new(self) -> list[Line]:
        """Lines that have come, a megabyte of them at most; empty where there are none. A damaged line is left out."""
        try:
            with self._path.open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_ino != self._file or state.st_size < self._offset:
                    self._file, self._offset = state.st_ino, 0
                while True:
                    file.seek(self._offset)
                    whole, end, _torn = file.read(_AT_ONCE).rpartition(b"\n")
                    self._offset += len(whole) + len(end)
                    lines = [line for text in whole.split(b"\n") if (line := self._fresh(text)) is not None]
                    if lines or not end:
                        return lines
        except FileNotFoundError:
            return []

    def _fresh(self, text: bytes) -> Line | None:
        try:
            line = msgspec.json.decode(text, type=Line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        step = line.get("step")
        if not isinstance(step, int):
            return None
        amended = self._told is not None and step == self._told["step"] and line != self._told
        if step <= self._after and not amended:
            return None
        self._after, self._told = max(step, self._after), line
        return line
