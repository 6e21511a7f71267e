"""An S3 bucket, or what lies under a prefix of one, as a store."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ten.calls.patience import Patience, read_patience
from ten.errors import DataError, MissingInput, StoreError
from ten.store.crew import Crew
from ten.store.part_copy import checked_pieces
from ten.store.protocol import ObjectStat, checked_key
from ten.store.s3_abilities import Abilities
from ten.store.s3_bucket import S3Bucket
from ten.store.s3_fetch import fetch_into, hash_of
from ten.store.s3_listing import folder_names, objects_below
from ten.store.s3_reading import Changed, Head, Reading
from ten.store.s3_refusals import Refused
from ten.store.s3_settings import read_settings
from ten.store.s3_upload import ONE_PUT, notes, put, put_in_parts

_AT_ONCE = 8
_TRIES = 2


class S3Store:
    """Objects in a bucket. What is sent is checked by the service, or read back where it does not check."""

    root: Path | None = None

    def __init__(self, address: str, *, patience_s: float | None = None) -> None:
        """Nothing is asked yet. `patience_s`: how long to go on without progress; None: as TEN_PATIENCE says.

        Raises SpecError, CredentialsError and ServiceUnavailable for what is wrong with the settings.
        """
        settings = read_settings(address)
        self.url = settings.url
        patience = read_patience() if patience_s is None else Patience.of(patience_s)
        self._bucket = S3Bucket(settings, patience)
        self._abilities = Abilities(self._bucket)
        self._crew = Crew(_AT_ONCE)

    def read(self, key: str) -> bytes:
        """All bytes of an object, as its writer hashed them."""
        checked_key(key, self.url)
        for last in (False, True):
            reading = Reading(self._bucket, key)
            try:
                data = reading.take()
            except Changed:
                continue
            found, noted = hashlib.sha256(data).hexdigest(), reading.head.sha256 if reading.head else None
            if noted in (None, found):
                return data
            if last:
                raise DataError(f"{self.url}/{key}: damaged: sha256 {found[:12]}… instead of {str(noted)[:12]}…")
        raise StoreError(f"{self.url}/{key}: was replaced twice while it was read")

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; StoreError when the object ends before."""
        checked_key(key, self.url)
        data, there = self._span(key, start, length)
        if len(data) == length and (there is None or start <= there):
            return data
        left = "fewer are" if there is None else f"only {max(0, there - start)}"
        raise StoreError(f"{self.url}/{key}: {length} bytes wanted at {start}, {left} there; is it cut short?")

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""
        checked_key(key, self.url)
        sha256 = hashlib.sha256(data).hexdigest()
        self._checked(key, sha256, lambda: put(self._bucket, key, data, notes(sha256)))

    def write_new(self, key: str, data: bytes) -> bool:
        """Create an object unless there is one; by one conditional request where the service knows these."""
        checked_key(key, self.url)
        writer = secrets.token_hex(8)
        metadata = notes(hashlib.sha256(data).hexdigest(), writer=writer)
        conditional = self._abilities.refuses_second
        if not conditional and self.stat(key) is not None:
            return False
        try:
            put(self._bucket, key, data, metadata, only_new=conditional)
        except Refused:  # by another's object, or by this one, when an answer was lost and the request repeated
            pass
        else:
            if conditional and self._abilities.checks_md5:
                return True
        return self._head(key).writer == writer

    def send(
        self, key: str, path: Path, *, sha256: str, about: str = "", advance: Callable[[int], object] | None = None
    ) -> None:
        """Create or replace an object from a file."""
        checked_key(key, self.url)
        metadata = notes(sha256, about)
        told = advance or _nobody

        def once() -> None:
            pieces = checked_pieces(path, sha256, f"{self.url}/{key}")
            size = path.stat().st_size
            if size > ONE_PUT:
                put_in_parts(self._bucket, self._crew, key, pieces, size, metadata, told)
            else:
                put(self._bucket, key, b"".join(pieces), metadata)
                told(size)

        try:
            self._checked(key, sha256, once)
        except FileNotFoundError:
            raise MissingInput(f"{path}: not there to be sent as {self.url}/{key}") from None

    def fetch(
        self, key: str, path: Path, *, sha256: str | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        """Copy an object into a file; what an earlier call left of it is counted as come."""
        fetch_into(self._bucket, self._crew, checked_key(key, self.url), path, sha256, advance or _nobody)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Objects whose keys begin with `prefix`; all of them are asked for before the first is told."""
        return iter(objects_below(self._bucket, prefix))

    def children(self, folder: str) -> Sequence[str]:
        """Names directly below a folder."""
        return folder_names(self._bucket, checked_key(folder, self.url))

    def stat(self, key: str) -> ObjectStat | None:
        """What is known of an object, or None; asked for with its first byte, since refusals of a HEAD say nothing."""
        try:
            head = self._head(checked_key(key, self.url))
        except MissingInput:
            return None
        return ObjectStat(key=key, bytes=head.bytes, sha256=head.sha256, about=head.about, modified=head.modified)

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        try:
            self._bucket.ask("delete_object", checked_key(key, self.url))
        except MissingInput:
            return

    def local_path(self, key: str) -> Path | None:
        """None: nothing here is a file."""
        return None

    @property
    def refuses_second(self) -> bool:
        """Whether the service itself refuses to write a new object where there is one; found out by trying, once."""
        return self._abilities.refuses_second

    def close(self) -> None:
        """End what is under way, and close connections."""
        self._crew.dismiss()
        self._bucket.close()

    def _head(self, key: str) -> Head:
        reading = Reading(self._bucket, key, 0, 1)
        try:
            return reading.open()
        finally:
            reading.close()

    def _span(self, key: str, start: int, length: int) -> tuple[bytes, int | None]:
        """What is there of a range, and how long the object is, where that is known."""
        if not length:
            return b"", self._head(key).bytes
        for _ in range(_TRIES):
            reading = Reading(self._bucket, key, start, start + length)
            try:
                return reading.take(), reading.head.bytes if reading.head else None
            except Changed:
                continue
            except Refused as refused:
                return b"", refused.size
        raise StoreError(f"{self.url}/{key}: was replaced twice while it was read")

    def _checked(self, key: str, sha256: str, write: Callable[[], Any]) -> None:
        """Write, and see that the bytes arrived; once more when they did not."""
        trusted = self._abilities.checks_md5
        for _ in range(_TRIES):
            write()
            if trusted:
                return
            found, head = hash_of(self._bucket, self._crew, key)
            if found == sha256 or head.sha256 != sha256:  # else somebody else has written it since
                return
        raise StoreError(f"{self.url}/{key}: what was sent arrives damaged, time and again: see to network and service")


def _nobody(_: int) -> None:
    pass
