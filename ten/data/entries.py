"""Entries: what a manifest says of each shard, by unit; of a large pack page by page, as they are asked for."""

import hashlib
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

from ten.data.manifest import Manifest, PageEntry, ShardEntry, page_name, parse_page
from ten.errors import DataError, MissingInput
from ten.store.durable import write_atomically

_PAGES_KEPT = 16
"""The units of an era and of the next one lie in so many different pages."""


class Entries:
    """The shards of a pack as its manifest lists them, in bounded memory. Used by several threads."""

    def __init__(
        self, manifest: Manifest, read: Callable[[str], bytes], address: str = "pack", keep: Path | None = None
    ) -> None:
        """`read` gives the bytes of a page by its name below the pack, which errors call `address`.

        Pages are kept in the folder `keep`: an order at random comes back to each of them again and again.
        """
        self._manifest, self._read, self._address, self._keep = manifest, read, address, keep
        self._firsts = [page.first for page in manifest.pages]
        self._pages: dict[int, list[ShardEntry]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Shards of the pack."""
        return self._manifest.units

    def entry(self, unit: int) -> ShardEntry:
        """A unit's entry. Raises what `read` raises, and DataError when the page is not the one that was published."""
        if not 0 <= unit < len(self):
            raise IndexError(f"{self._address} has {len(self)} shards, and none has the number {unit}")
        if not self._firsts:
            return self._manifest.shards[unit]
        if unit == 0 and self._manifest.first is not None:
            return self._manifest.first
        number = bisect_right(self._firsts, unit) - 1
        return self._page(number)[unit - self._firsts[number]]

    def __iter__(self) -> Iterator[ShardEntry]:
        """All entries in the order of their units; nothing of them is kept."""
        yield from self._manifest.shards
        for number, page in enumerate(self._manifest.pages):
            yield from self._fetch(number, page)

    def _page(self, number: int) -> list[ShardEntry]:
        with self._lock:
            entries = self._pages.pop(number, None)
        entries = entries or self._fetch(number, self._manifest.pages[number])
        with self._lock:
            self._pages[number] = entries
            if len(self._pages) > _PAGES_KEPT:
                del self._pages[next(iter(self._pages))]
        return entries

    def _fetch(self, number: int, page: PageEntry) -> list[ShardEntry]:
        name = page_name(number)
        kept = self._keep / name if self._keep else None
        if kept is not None and kept.is_file():
            data = kept.read_bytes()
            if hashlib.sha256(data).hexdigest() == page.sha256:
                return parse_page(data, page, str(kept))
        try:
            data = self._read(name)
        except MissingInput:
            raise DataError(
                f"{self._address}/{name}: this page of the manifest is lost; `ten pack` with the same settings writes "
                "it anew"
            ) from None
        entries = parse_page(data, page, f"{self._address}/{name}")
        if kept is not None:
            write_atomically(kept, data)
        return entries
