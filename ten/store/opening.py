"""Opening a store by its address."""

import re
from pathlib import Path

from ten.errors import SpecError
from ten.settings import nearest
from ten.store.local import LocalStore
from ten.store.protocol import Store

_SCHEME = re.compile(r"([A-Za-z][\w+.-]*):/|(s3):")
_WAYS = "give a folder, or s3://bucket/prefix"


def open_store(address: str, patience_s: float | None = None) -> Store:
    """The store at an address: a folder or `s3://bucket/prefix`. Nothing is read yet.

    `patience_s`: how long to go on asking a service without progress; None: as TEN_PATIENCE says. Raises SpecError for
    a scheme that is not known and for a file, and what the settings of a service are refused with.
    """
    if address.startswith("s3://"):
        from ten.store.s3 import S3Store  # the client takes 0.2 s to import

        return S3Store(address, patience_s=patience_s)
    if not address.strip():
        raise SpecError(f"store: the address is empty; {_WAYS}, such as ten-data")
    if scheme := _SCHEME.match(address):
        raise SpecError(f"store {_without_keys(address)!r}: {_cure((scheme[1] or scheme[2]).lower())}")
    if Path(address).expanduser().is_file():
        raise SpecError(f"store {address!r}: is a file; name a folder with --set store=DIR")
    return LocalStore(Path(address))


def _cure(scheme: str) -> str:
    if scheme in ("http", "https"):
        return (
            f"no store for {scheme}://; {_WAYS}, with the service's address in SPACES_ENDPOINT "
            "(https://nyc3.digitaloceanspaces.com) or SPACES_REGION"
        )
    return f"no store for {scheme}://, {nearest(scheme, ['s3'])}; {_WAYS}"


def _without_keys(address: str) -> str:
    """The address without what stands before an @, where people put keys."""
    return re.sub(r"//[^/]*@", "//…@", address)
