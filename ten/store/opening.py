"""Opening a store by its address."""

from pathlib import Path

from ten.errors import SpecError
from ten.store.local import LocalStore
from ten.store.protocol import Store


def open_store(address: str) -> Store:
    """The store at an address: a folder. Raises SpecError for a scheme that is not known and for a file."""
    scheme, separator, _ = address.partition("://")
    if separator:
        raise SpecError(f"store {address!r}: no store for {scheme}:// yet; give a folder")
    if not address.strip():
        raise SpecError("store: the address is empty; give a folder, such as ten-data")
    if Path(address).expanduser().is_file():
        raise SpecError(f"store {address!r}: is a file; name a folder with --set store=DIR")
    return LocalStore(Path(address))
