"""A folder as a store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

from ten.errors import MissingInput, StoreError
from ten.store.durable import PART, TEMPORARY, write_atomically, writing
from ten.store.part_copy import checked_pieces, copy_into, pieces_of
from ten.store.protocol import ObjectStat, checked_key


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

    def write_new(self, key: str, data: bytes) -> bool:
        """Create a file unless there is one."""
        path = self._path(key)
        if path.exists():
            return False
        write_atomically(path, data)
        return True

    def send(
        self, key: str, path: Path, *, sha256: str, about: str = "", advance: Callable[[int], object] | None = None
    ) -> None:
        """Copy a file here; nothing is noted of it."""
        with _reading(path):
            copy_into(
                self._path(key), checked_pieces(path, sha256, f"{self.url}/{key}"), None, key, advance, durable=True
            )

    def fetch(
        self, key: str, path: Path, *, sha256: str | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        """Copy a file from here."""
        source = self._path(key)
        with _reading(source):
            copy_into(path, pieces_of(source), sha256, str(source), advance, durable=False)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Files whose keys begin with `prefix`; unfinished writes are not objects."""
        base = self._path(checked_key(prefix, self.url).rpartition("/")[0] or ".") if prefix else self.root
        found = {path.relative_to(self.root).as_posix(): path for path in base.rglob("*")}
        for key in sorted(found):
            path = found[key]
            if key.startswith(prefix) and _is_object(path):
                yield ObjectStat(key=key, bytes=path.stat().st_size, modified=path.stat().st_mtime)

    def children(self, folder: str) -> Sequence[str]:
        """Names of the files and folders in a folder."""
        path = self._path(folder)
        return sorted(found.name for found in path.iterdir() if _is_name(found)) if path.is_dir() else []

    def stat(self, key: str) -> ObjectStat | None:
        """Size and time of a file, or None."""
        try:
            found = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return ObjectStat(key=key, bytes=found.st_size, modified=found.st_mtime) if S_ISREG(found.st_mode) else None

    def delete(self, key: str) -> None:
        """Remove a file if it is there."""
        with writing(self._path(key)), suppress(FileNotFoundError, NotADirectoryError):
            self._path(key).unlink()

    def local_path(self, key: str) -> Path | None:
        """The file itself."""
        return self._path(key)

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key, self.url)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInput(f"{path}: no such object in the store") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None


def _is_object(path: Path) -> bool:
    return _is_name(path) and path.is_file()


def _is_name(path: Path) -> bool:
    """Whether a name is not that of an unfinished write."""
    return not path.name.startswith(TEMPORARY) and not path.name.endswith(PART)
