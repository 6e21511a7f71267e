"""Verified: which downloaded files were hashed and found right, so that a rerun need not read them again."""

from pathlib import Path

import msgspec

from ten.store.durable import write_atomically
from ten.text.part_file import content_id_of


class Verified:
    """The files of one folder by name, size, time and content id; kept in a JSON file beside the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder.with_name(f"{folder.name}.verified.json")
        self._known = self._read()

    def holds(self, name: str, size: int, content_id: str) -> bool:
        """Whether the file is there and has that content; hashed where nothing is known of it."""
        path = self._folder / name
        if not path.is_file() or path.stat().st_size != size:
            return False
        if self._known.get(name) == _state(path, content_id):
            return True
        if content_id_of(path, content_id.partition(":")[0]) != content_id:
            return False
        self.remember(name, content_id)
        return True

    def remember(self, name: str, content_id: str) -> None:
        """Note that the file has just been found to have that content."""
        self._known = {**self._read(), name: _state(self._folder / name, content_id)}  # others may have added to it
        write_atomically(self._path, msgspec.json.encode(self._known))

    def _read(self) -> dict[str, tuple[int, int, str]]:
        if not self._path.is_file():
            return {}
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, tuple[int, int, str]])
        except msgspec.DecodeError:
            return {}  # it saves reading, and is made again by reading


def _state(path: Path, content_id: str) -> tuple[int, int, str]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, content_id
