"""Durable writes: a file appears whole or not at all, and what the system refuses is said with its cure."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ten.errors import DiskFull, StoreError
from ten.units import format_bytes

TEMPORARY = ".tmp-"
"""How the names of unfinished writes begin."""
PART = ".part"
"""How the names of unfinished copies end."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ELSEWHERE = "or name another place with --set store=DIR"
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that after a crash at any moment it is the old or the new one, never a part.

    Raises DiskFull naming path, wanted and free bytes, or the right that is missing; a failed write leaves nothing.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")  # no two writers share one, on any machine
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


def sync_file(path: Path) -> None:
    """Make a file that is whole survive a power failure."""
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path, wanted_bytes: int = 0, elsewhere: str = _ELSEWHERE) -> Iterator[None]:
    """Turn the system's errors while writing below `path` into ones that say what to do, `elsewhere` among it."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in _NO_ROOM:
            wanted = f"{format_bytes(wanted_bytes)} wanted, " if wanted_bytes else ""
            raise DiskFull(f"{where}: no room to write: {wanted}{_free(path)}; free some, {elsewhere}") from None
        if error.errno in _NO_RIGHT:
            raise DiskFull(f"{where}: no permission to write; change it, {elsewhere}") from None
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise DiskFull(f"{where}: cannot write there: {error.strerror}; {elsewhere}") from None
        raise StoreError(f"{where}: cannot be written: {error.strerror}") from None


def _free(path: Path) -> str:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return f"{format_bytes(shutil.disk_usage(existing).free)} free"
