"""Copying an object from one store to another, verified on the way."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ten.store.durable import sync_file
from ten.store.protocol import Store


def copy_object(
    source: Store,
    key: str,
    target: Store,
    target_key: str,
    *,
    sha256: str,
    about: str = "",
    advance: Callable[[int], object] | None = None,
) -> None:
    """Create or replace `target_key` with the bytes of `key`, which must have that hash.

    Between two stores that are no folders it goes through a temporary file. Raises DataError, and publishes nothing,
    when the source's bytes have another hash; MissingInput when it has no such object; what `send` and `fetch` raise.
    """
    if (path := source.local_path(key)) is not None:
        target.send(target_key, path, sha256=sha256, about=about, advance=advance)
    elif (path := target.local_path(target_key)) is not None:
        source.fetch(key, path, sha256=sha256, advance=advance)
        sync_file(path)
    else:
        with TemporaryDirectory(prefix="ten-copy-") as folder:
            between = Path(folder) / "object"
            source.fetch(key, between, sha256=sha256)
            target.send(target_key, between, sha256=sha256, about=about, advance=advance)
