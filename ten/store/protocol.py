"""Store: named objects of bytes, kept for good; the one door to folders, object stores and memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from ten.errors import StoreError


class ObjectStat(msgspec.Struct, frozen=True, kw_only=True):
    """What a store knows of an object without reading it."""

    key: str
    bytes: int


class Store(Protocol):
    """Keys are relative POSIX paths such as `packs/books-0123/manifest.json`.

    An object is whole or absent: no reader ever sees a part of a write. Every method raises StoreError (or DiskFull,
    CredentialsError) naming the object; `read` and `read_range` raise MissingInput when it is not there.
    """

    url: str

    @property
    def root(self) -> Path | None:
        """The folder that is the store, where it is one."""

    def read(self, key: str) -> bytes:
        """All bytes of an object."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`."""

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """The objects whose keys begin with `prefix`, in order of their keys."""

    def stat(self, key: str) -> ObjectStat | None:
        """Size of an object, or None when there is none."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def local_path(self, key: str) -> Path | None:
        """The file behind an object where the store is a folder, else None."""


def checked_key(key: str, url: str) -> str:
    """`key` itself; StoreError where it is no relative path below the store at `url`."""
    if not key or key.startswith("/") or ".." in key.split("/"):
        raise StoreError(f"{url}: {key!r} is no key of a store")
    return key
