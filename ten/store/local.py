"""A folder as a store, and the atomic write that everything durable goes through."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ten.errors import DiskFull, MissingInput, StoreError
from ten.store.protocol import ObjectStat, checked_key
from ten.units import format_bytes

_TEMPORARY = ".tmp-"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ELSEWHERE = "or name another place with --set store=DIR"
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


class LocalStore:
    """Objects as files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.url = str(self.root)

    def read(self, key: str) -> bytes:
        """All bytes of a file."""
        with _reading(self._path(key)):
            return self._path(key).read_bytes()

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; StoreError when the file ends before."""
        with _reading(self._path(key)), self._path(key).open("rb") as file:
            file.seek(start)
            data = file.read(length)
        if len(data) != length:
            raise StoreError(
                f"{self._path(key)}: {length} bytes wanted at {start}, only {len(data)} there; is it cut short?"
            )
        return data

    def write(self, key: str, data: bytes) -> None:
        """Create or replace a file, whole or not at all."""
        write_atomically(self._path(key), data)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Files whose keys begin with `prefix`; unfinished writes are not objects."""
        base = self._path(checked_key(prefix, self.url).rpartition("/")[0] or ".") if prefix else self.root
        found = {path.relative_to(self.root).as_posix(): path for path in base.rglob("*")}
        for key in sorted(found):
            path = found[key]
            if key.startswith(prefix) and not path.name.startswith(_TEMPORARY) and path.is_file():
                yield ObjectStat(key=key, bytes=path.stat().st_size)

    def stat(self, key: str) -> ObjectStat | None:
        """Size of a file, or None."""
        path = self._path(key)
        return ObjectStat(key=key, bytes=path.stat().st_size) if path.is_file() else None

    def delete(self, key: str) -> None:
        """Remove a file if it is there."""
        with writing(self._path(key)), suppress(FileNotFoundError, NotADirectoryError):
            self._path(key).unlink()

    def local_path(self, key: str) -> Path | None:
        """The file itself."""
        return self._path(key)

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key, self.url)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that after a crash at any moment it is the old or the new one, never a part.

    Raises DiskFull naming path, wanted and free bytes, or the right that is missing; a failed write leaves nothing.
    """
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")  # no two writers share one, on any machine
    with writing(path, len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path, wanted_bytes: int = 0) -> Iterator[None]:
    """Turn the system's errors while writing below `path` into ones that say what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in _NO_ROOM:
            wanted = f"{format_bytes(wanted_bytes)} wanted, " if wanted_bytes else ""
            raise DiskFull(f"{where}: no room to write: {wanted}{_free(path)}; free some, {_ELSEWHERE}") from None
        if error.errno in _NO_RIGHT:
            raise DiskFull(f"{where}: no permission to write; change it, {_ELSEWHERE}") from None
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise DiskFull(f"{where}: cannot write there: {error.strerror}; {_ELSEWHERE}") from None
        raise StoreError(f"{where}: cannot be written: {error.strerror}") from None


def _free(path: Path) -> str:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return f"{format_bytes(shutil.disk_usage(existing).free)} free"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInput(f"{path}: no such object in the store") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
