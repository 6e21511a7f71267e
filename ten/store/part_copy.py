"""A copy in the making: bytes appended in order to a file beside its final name, hashed as they come."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Self

from ten.errors import DataError
from ten.store.durable import PART, TEMPORARY, sync_folder, writing

_BLOCK = 2**22
_AT_ONCE = 512
"""Pieces in one call of the system, which takes up to 1024 (IOV_MAX)."""


class PartCopy:
    """`<name>.part`, gone on with where an earlier call left one; the final name appears when it is whole and right.

    The kernel's lock on it keeps two processes from mixing their bytes: the second makes a copy of its own. A copy that
    is not `durable` may be torn by a power failure: enough where whoever reads it knows its hash.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path, self._durable = path, durable
        self._part = path.with_name(f"{path.name}{PART}")
        self._sha256 = hashlib.sha256()
        self.bytes = 0
        """How many are there."""

    def __enter__(self) -> Self:
        with writing(self._part):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self._part.open("a+b", buffering=0)
            if not self._is_ours():
                self._file.close()
                self._part = self._path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
                self._file = self._part.open("a+b", buffering=0)
        self._file.seek(0)
        while piece := self._file.read(_BLOCK):
            self._count(piece)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._part.name.startswith(TEMPORARY):
            self._part.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        """Whether nobody else makes this copy, and it was not finished between its opening and the lock."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held by another process, or a file system without locks
            return False
        return self._part.exists() and os.path.samestat(os.fstat(self._file.fileno()), self._part.stat())

    def append(self, piece: bytes) -> None:
        """Add the next bytes."""
        self.extend([piece])

    def extend(self, pieces: Sequence[bytes]) -> None:
        """Add the next bytes, piece by piece."""
        for begin in range(0, len(pieces), _AT_ONCE):
            some = pieces[begin : begin + _AT_ONCE]
            size = sum(map(len, some))
            with writing(self._part, size):
                written = os.writev(self._file.fileno(), some)
                left = memoryview(b"".join(some))[written:] if written < size else memoryview(b"")
                while left:
                    left = left[os.write(self._file.fileno(), left) :]
            for piece in some:
                self._count(piece)

    def begin_anew(self) -> None:
        """Forget what is there: it belongs to something else."""
        with writing(self._part):
            self._file.truncate(0)
        self._sha256, self.bytes = hashlib.sha256(), 0

    def publish(self, sha256: str | None, name: str) -> None:
        """Give it its final name; DataError that calls it `name`, and nothing left, where its hash is another one."""
        found = self._sha256.hexdigest()
        if sha256 is not None and found != sha256:
            self._part.unlink(missing_ok=True)
            raise DataError(f"{name}: damaged: its bytes have sha256 {found[:12]}… instead of {sha256[:12]}…")
        with writing(self._part):
            if self._durable:
                os.fsync(self._file.fileno())
            self._part.replace(self._path)
            if self._durable:
                sync_folder(self._path.parent)

    def _count(self, piece: bytes | memoryview) -> None:
        self._sha256.update(piece)
        self.bytes += len(piece)


def copy_into(
    path: Path,
    pieces: Iterable[bytes],
    sha256: str | None,
    name: str,
    advance: Callable[[int], object] | None,
    *,
    durable: bool,
) -> None:
    """Make a file of pieces that can be had again at will: what an earlier copy left is dropped."""
    with PartCopy(path, durable=durable) as copy:
        copy.begin_anew()
        for piece in pieces:
            copy.append(piece)
            if advance:
                advance(len(piece))
        copy.publish(sha256, name)


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(_BLOCK):
            yield piece


def checked_pieces(path: Path, sha256: str, name: str) -> Iterator[bytes]:
    """A file's bytes, piece by piece; DataError behind the last one where their hash is not `sha256`."""
    digest = hashlib.sha256()
    for piece in pieces_of(path):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise DataError(f"{name}: {path} has sha256 {digest.hexdigest()[:12]}… and not {sha256[:12]}…: it has changed")
