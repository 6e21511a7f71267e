"""PartFile: a file that is on its way here: it grows in order, is held by one process, and appears when it is whole."""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from ten.calls.patience import read_patience
from ten.errors import DataError, ServiceUnavailable
from ten.store.durable import sync_folder, writing
from ten.units import format_seconds

log = logging.getLogger(__name__)

_READ_BYTES = 2**20
_STALL_S = 600.0
"""How long a file that another process holds may stay as it is; longer where that one may wait longer."""
_POLL_S = 0.2


class PartFile:
    """What has arrived of a file, beside the place where the whole file will be; made by `hold_part`."""

    def __init__(self, target: Path, size: int, content_id: str, handle: FileIO) -> None:
        self._target = target
        self._size = size
        self._content_id = content_id
        self._handle = handle
        self._digest = _digest(content_id, size)
        self.bytes = 0
        """Bytes that have arrived and are counted in the hash."""
        self._take_up()

    def extend(self, blocks: Iterable[bytes]) -> Iterator[int]:
        """Append blocks; yields the bytes of each once it is written. Raises DiskFull."""
        for block in blocks:
            with writing(self._target, self._size - self.bytes):
                rest = memoryview(block)
                while rest:
                    rest = rest[self._handle.write(rest) :]
            self._digest.update(block)
            self.bytes += len(block)
            yield len(block)

    def finish(self) -> str | None:
        """Make the file appear; where its content is not the listed one, throw it away and return its content id."""
        found = f"{self._content_id.partition(':')[0]}:{self._digest.hexdigest()}"
        if self.bytes != self._size or found != self._content_id:
            self._restart()
            return found
        with writing(self._target):
            os.fsync(self._handle.fileno())
            os.replace(part_path(self._target), self._target)  # noqa: PTH105 - the held file is renamed as it is
            sync_folder(self._target.parent)
        return None

    def _take_up(self) -> None:
        """Count and hash what an earlier process left; more than the whole file is no beginning of it."""
        if os.fstat(self._handle.fileno()).st_size > self._size:
            self._restart()
        for block in _blocks(self._handle):
            self._digest.update(block)
            self.bytes += len(block)

    def _restart(self) -> None:
        with writing(self._target):
            self._handle.truncate(0)
            self._handle.seek(0)
        self._digest = _digest(self._content_id, self._size)
        self.bytes = 0


@contextmanager
def hold_part(target: Path, size: int, content_id: str, is_whole: Callable[[], bool]) -> Iterator[PartFile | None]:
    """What has arrived of `target`, while no other process may add to it; None when it turns out whole by then.

    Waits, and says so, while another process fetches it. Raises DiskFull where it cannot be written, and
    ServiceUnavailable where that process gets nowhere. Without locks in the file system two may fetch at once: the
    hash notices.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = _hold(part_path(target))
    with handle:
        if is_whole():
            part_path(target).unlink()
            yield None
        else:
            yield PartFile(target, size, content_id, handle)


def content_id_of(path: Path, kind: str) -> str:
    """The content id of a whole file: `kind` is `sha256`, or `git` for the SHA-1 of a git blob."""
    digest = _digest(f"{kind}:", path.stat().st_size)
    with path.open("rb") as file:
        for block in _blocks(file):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"


def part_path(target: Path) -> Path:
    """Where a file lies that is not whole yet."""
    return target.with_name(f"{target.name}.part")


def _hold(path: Path) -> FileIO:
    """The file at `path`, opened and locked; not the one that was there before and has become the whole file."""
    while True:
        handle = path.open("a+b", buffering=0)
        try:
            _lock(handle, path)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                    handle.seek(0)
                    return handle
        except BaseException:
            handle.close()
            raise
        handle.close()


def _lock(handle: FileIO, path: Path) -> None:
    """Hold the file alone, if its file system can do that; wait while whoever has it makes it grow."""
    patience_s = max(_STALL_S, 2 * read_patience().total_s)
    seen, since, told = -1, time.monotonic(), False
    while not _try_lock(handle):
        if not told:
            log.info("%s: another process is fetching it; waiting until it is done", path)
            told = True
        size = os.fstat(handle.fileno()).st_size
        if size != seen:
            seen, since = size, time.monotonic()
        elif time.monotonic() - since > patience_s:
            raise ServiceUnavailable(
                f"{path}: another process holds it, and nothing was added to it for {format_seconds(patience_s)}; end "
                f"that process (`fuser {path}` names it), then run the same command again"
            )
        time.sleep(_POLL_S)


def _try_lock(handle: FileIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _digest(content_id: str, size: int) -> "hashlib._Hash":
    kind = content_id.partition(":")[0]
    if kind == "sha256":
        return hashlib.sha256()
    if kind == "git":
        return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    raise DataError(f"{content_id!r} is no content id; known are sha256:HASH and git:HASH")


def _blocks(file: FileIO | BinaryIO) -> Iterator[bytes]:
    while block := file.read(_READ_BYTES):
        yield block
