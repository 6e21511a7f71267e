"""Journal: what is packed of a unit so far, segment by segment, so that a killed packer reads no segment twice.

A file of records, each a JSON line and the arrays it describes. A record's hash is over both and over the hash of the
record before: one counts only if it agrees and all before it are there; what a crash tore off at the end is dropped.
The kernel's lock on the file keeps two packers of one unit from mixing theirs.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ten.store.durable import writing


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a unit is read: `segments` of part number `part`, which gave `records` records."""

    part: int = 0
    segments: int = 0
    records: int = 0


class Harvest(msgspec.Struct, frozen=True, kw_only=True):
    """What one segment came to: counts here, arrays beside it."""

    fingerprint: str
    unit: int
    place: Place
    """Where the next segment begins."""
    skipped: int
    bad: int
    lengths: tuple[int, ...]
    """Bytes of each array that follows."""
    sha256: str = ""

    def sealed(self, before: str, content: list[bytes]) -> "Harvest":
        """The same with the hash that it has behind a record whose hash is `before`."""
        whole = [before.encode(), msgspec.json.encode(msgspec.structs.replace(self, sha256="")), *content]
        return msgspec.structs.replace(self, sha256=hashlib.sha256(b"".join(whole)).hexdigest())


class Journal:
    """The records of one unit; without a file behind it (another packer holds it) it keeps nothing."""

    def __init__(self, path: Path, fingerprint: str, unit: int) -> None:
        """Open or make the file and lock it."""
        self._path = path
        self._fingerprint, self._unit = fingerprint, unit
        self._newest = ""
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] | None = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held by another packer, or a file system without locks
            self._file.close()
            self._file = None

    def read(self) -> Iterator[tuple[Harvest, list[bytes]]]:
        """The sound records in order; anything behind them is cut off."""
        if self._file is None:
            return
        self._file.seek(0)
        sound, self._newest = 0, ""
        while (record := self._next(self._file)) is not None:
            self._newest = record[0].sha256
            yield record
            sound = self._file.tell()
        self._file.truncate(sound)
        self._file.seek(sound)

    def append(self, place: Place, skipped: int, bad: int, arrays: list[NDArray[Any]]) -> None:
        """Add a segment. It survives the end of this process; a crash of the machine may cost it."""
        if self._file is None:
            return
        content = [np.ascontiguousarray(array).tobytes() for array in arrays]
        harvest = Harvest(
            fingerprint=self._fingerprint,
            unit=self._unit,
            place=place,
            skipped=skipped,
            bad=bad,
            lengths=tuple(map(len, content)),
        ).sealed(self._newest, content)
        with writing(self._path, sum(harvest.lengths)):
            self._file.write(msgspec.json.encode(harvest) + b"\n" + b"".join(content))
            self._file.flush()
        self._newest = harvest.sha256

    def close(self, *, done: bool) -> None:
        """Let go of the file; remove it when the unit is `done`."""
        if self._file is None:
            return
        file, self._file = self._file, None
        if done:
            self._path.unlink(missing_ok=True)
        with writing(self._path), file:  # what could not be written is tried once more
            pass

    def _next(self, file: IO[bytes]) -> tuple[Harvest, list[bytes]] | None:
        """The next record if it is whole, of this unit, and follows the last one."""
        line = file.readline()
        try:
            harvest = msgspec.json.decode(line, type=Harvest)
        except (ValueError, RecursionError):
            return None
        left = os.fstat(file.fileno()).st_size - file.tell()
        if min(harvest.lengths, default=0) < 0 or sum(harvest.lengths) > left:
            return None
        content = [file.read(length) for length in harvest.lengths]
        is_mine = (harvest.fingerprint, harvest.unit) == (self._fingerprint, self._unit)
        return (harvest, content) if is_mine and harvest.sealed(self._newest, content) == harvest else None
