"""What a name on the command line means: a store, or a pack or run in one."""

from pathlib import Path
from typing import Literal

import msgspec

from ten.errors import MissingInput
from ten.settings import nearest
from ten.store.opening import open_store
from ten.store.protocol import Store

Kind = Literal["pack", "run"]
_FOLDERS: dict[str, Kind] = {"packs": "pack", "runs": "run"}
_SIGNS: dict[Kind, str] = {"pack": "shards", "run": "checkpoints"}


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A pack or a run in a store."""

    kind: Kind
    name: str
    prefix: str
    """Of its keys; empty where the store is the pack's or run's own folder."""

    def key(self, name: str) -> str:
        """The key of the object that lies below it as `name`."""
        return f"{self.prefix}/{name}" if self.prefix else name

    @property
    def usual_prefix(self) -> str:
        """Where every store looks for it."""
        return f"{self.kind}s/{self.name}"


def find(what: str | None, near: str) -> tuple[Store, list[Holding]]:
    """What `what` means to a command whose store is `near`: an address or path, else a pack or run of that store.

    Without a name it is everything in that store. Raises MissingInput, with the nearest name, when there is no such
    thing.
    """
    if what is None:
        return find_at(near)
    if is_address(what) or Path(what).expanduser().exists():
        return find_at(what)
    store = open_store(near)
    return store, [find_named(what, store)]


def find_at(address: str) -> tuple[Store, list[Holding]]:
    """The store at an address or path and all it holds, or the one pack or run that the address names."""
    address = address.rstrip("/") if is_address(address) else str(Path(address).expanduser().absolute())
    rest, name = _parted(address)
    folder = rest.rpartition("/")[2]
    if folder in _FOLDERS and _parted(rest)[0]:
        store = open_store(_parted(rest)[0])
        return store, [find_named(f"{folder}/{name}", store)]
    store = open_store(address)
    own = [Holding(kind=kind, name=name, prefix="") for kind, sign in _SIGNS.items() if store.children(sign)]
    if found := own or find_all(store):
        return store, found
    raise MissingInput(f"{store.url}: no pack, run or store; give what holds packs/ and runs/, or one of these")


def find_all(store: Store) -> list[Holding]:
    """Every pack and run of a store; of a cache folder also the runs that are kept there for other stores."""
    return [
        Holding(kind=kind, name=prefix.rpartition("/")[2], prefix=prefix)
        for folder, kind in _FOLDERS.items()
        for name in store.children(folder)
        for prefix in _prefixes(store, f"{folder}/{name}", _SIGNS[kind])
    ]


def _prefixes(store: Store, prefix: str, sign: str) -> list[str]:
    """Where there is a pack or run: at `prefix`, or one level below; nowhere where that is a file."""
    if store.root is None:
        return [prefix]
    path = store.root / prefix
    below = [] if (path / sign).is_dir() else sorted(path.glob(f"*/{sign}"))
    return [found.parent.relative_to(store.root).as_posix() for found in below] or [prefix] * path.is_dir()


def find_named(name: str, store: Store) -> Holding:
    """The pack or run of a store that is called so, with or without `packs/` or `runs/` before it."""
    known = find_all(store)
    for holding in known:
        if name.rstrip("/") in (holding.name, holding.prefix):
            return holding
    there = nearest(name, [holding.name for holding in known]) if known else f"nothing is in {store.url}"
    raise MissingInput(f"{name!r}: no path, and no pack or run of {store.url}; {there}")


def is_address(what: str) -> bool:
    """Whether it is an address such as s3://bucket/prefix and neither path nor name."""
    return "://" in what


def _parted(address: str) -> tuple[str, str]:
    """What is before and behind the last slash; nothing is before a bucket's or the root folder's name."""
    before, _, last = address.rpartition("/")
    return ("", last) if before.endswith(":/") or not before else (before, last)
