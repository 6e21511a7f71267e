"""Downloads: the raw files of a hub corpus in a folder: whole, verified, and gone on with after a stop."""

import logging
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from ten.errors import DataError, DiskFull
from ten.hub.address import HubAddress, is_hub, parse_address
from ten.logs import progress, reporting
from ten.text.corpus import FOREIGN, Corpus, SourceFile
from ten.text.part_file import PartFile, hold_part, part_path
from ten.text.verified import Verified
from ten.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from ten.hub.transport import Transport

log = logging.getLogger(__name__)

_BLOCK_BYTES = 2**20
"""Small, because a stop loses the blocks that are on their way."""
_AHEAD = 7
"""Blocks in flight beside the one that is waited for: eight connections."""


def download(corpus: Corpus, folder: Path, transport: "Transport") -> Corpus:
    """The corpus with every file of it on this disk, below `folder/hub/<namespace>--<name>/<commit>/`.

    Files lie under their own names once they are whole and their content is the listed one; a rerun goes on where the
    last one stopped, and asks for nothing where nothing is missing. The fingerprint does not change. Raises DiskFull
    before the first byte where there is no room, DataError where a file's content is not the listed one, and what the
    transport raises.
    """
    at_hub = [file for file in corpus.files if is_hub(file.path)]
    known = {root: Verified(root) for root in {_root(file, folder) for file in at_hub}}
    missing = [file for file in at_hub if not _is_whole(file, folder, known)]
    if missing:
        _require_room(missing, folder)
        _fetch_all(missing, folder, known, transport, sum(file.bytes for file in at_hub))
    here = (
        msgspec.structs.replace(file, path=str(local_path(file, folder))) if is_hub(file.path) else file
        for file in corpus.files
    )
    return msgspec.structs.replace(corpus, files=tuple(here))


def is_fetched_whole(corpus: Corpus, *, keep: bool) -> bool:
    """Whether a hub corpus's files are downloaded: a job that `keep`s them wants it, some formats need it."""
    return corpus.is_pinned and (keep or any(file.format in FOREIGN for file in corpus.files))


def raw_folder(corpus: Corpus, folder: Path) -> Path:
    """Where the files of a hub corpus lie once they are downloaded."""
    return _root(corpus.files[0], folder)


def local_path(file: SourceFile, folder: Path) -> Path:
    """Where a hub file lies once it is downloaded. Raises DataError for a name that leads out of the folder."""
    name = PurePosixPath(parse_address(file.path).path)
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"{file.path}: its name leads out of the folder for downloads; it is not fetched")
    return _root(file, folder) / name


def _root(file: SourceFile, folder: Path) -> Path:
    """The folder of a file's repository at its commit."""
    address = parse_address(file.path)
    return folder.absolute() / "hub" / address.repo.replace("/", "--") / address.revision.replace("/", "--")


def _is_whole(file: SourceFile, folder: Path, known: dict[Path, Verified]) -> bool:
    root, target = _root(file, folder), local_path(file, folder)
    return known[root].holds(target.relative_to(root).as_posix(), file.bytes, file.probe)


def _require_room(missing: list[SourceFile], folder: Path) -> None:
    parts = [part_path(local_path(file, folder)) for file in missing]
    wanted = sum(file.bytes for file in missing) - sum(part.stat().st_size for part in parts if part.is_file())
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if wanted > free:
        foreign = next((file.format for file in missing if file.format in FOREIGN), None)
        cure = ", or stream the dataset with --streaming and without --keep-files"
        if foreign is not None:
            cure = f" ({foreign} files can only be read whole)"
        raise DiskFull(
            f"{folder}: no room to download: {format_bytes(wanted)} wanted, {format_bytes(free)} free; free some, or "
            f"name another place with --set data.cache_dir=DIR{cure}"
        )


def _fetch_all(
    missing: list[SourceFile], folder: Path, known: dict[Path, Verified], transport: "Transport", total: int
) -> None:
    wanted = sum(file.bytes for file in missing)
    where = _root(missing[0], folder)
    log.info("downloading %s in %d file%s to %s", format_bytes(wanted), len(missing), "s"[len(missing) < 2 :], where)
    done = total - wanted
    with progress("download", total, "B", done) as bar:
        report = _Report(bar, total, done, len(missing))
        with reporting(bar, report.tell):
            for file in missing:
                _fetch_one(file, folder, known, transport, report)


def _fetch_one(
    file: SourceFile, folder: Path, known: dict[Path, Verified], transport: "Transport", report: "_Report"
) -> None:
    """Make one file whole, unless another process does meanwhile."""
    root, target = _root(file, folder), local_path(file, folder)
    if target.exists():
        log.warning("%s: its content is not what the hub lists; fetching it again", target)
    report.begin(file.name)
    with hold_part(target, file.bytes, file.probe, partial(_is_whole, file, folder, known)) as part:
        if part is None:
            report.found(file.bytes)
        else:
            _fetch(file, part, transport, report)
            known[root].remember(target.relative_to(root).as_posix(), file.probe)


def _fetch(file: SourceFile, part: PartFile, transport: "Transport", report: "_Report") -> None:
    """Fetch what is missing of one file; a second time from the start when what came is not the listed content."""
    wrong = _append(file, part, transport, report)
    if wrong is None:
        return
    log.warning("%s: came as %s, and the listing says %s; fetching it again", file.path, wrong, file.probe)
    fresh = type(transport)(transport.endpoint, transport.patience)  # one that does not remember what it read
    with closing(fresh):
        wrong = _append(file, part, fresh, report)
    if wrong is not None:
        raise DataError(
            f"{file.path}: came twice with another content, at last {wrong}, and the listing says {file.probe}; "
            f"something between here and the hub changes it (a proxy?), or it is damaged there: choose another "
            f"revision with --set data.revision=COMMIT"
        )


def _append(file: SourceFile, part: PartFile, transport: "Transport", report: "_Report") -> str | None:
    """Fetch what is missing; the content id where it is not the listed one, and then nothing is here any more."""
    report.found(part.bytes)
    with closing(_blocks(parse_address(file.path), part.bytes, file.bytes, transport)) as blocks:
        for count in part.extend(blocks):
            report.fetched(count)
    wrong = part.finish()
    if wrong is not None:
        report.found(-file.bytes)
    return wrong


def _blocks(address: HubAddress, start: int, size: int, transport: "Transport") -> Generator[bytes]:
    from ten.hub.ranges import fetch_ahead

    ranges = ((address, at, min(at + _BLOCK_BYTES, size)) for at in range(start, size, _BLOCK_BYTES))
    return fetch_ahead(transport, ranges, lambda: _AHEAD, size)


class _Report:
    """What a download shows: a bar on a terminal, a line every half minute where there is none."""

    def __init__(self, bar: Any, total: int, done: int, files: int) -> None:
        self._bar, self._total, self._done, self._files = bar, total, done, files
        self._name, self._number = "", 0
        self._fetched = 0
        self._begun = time.monotonic()

    def begin(self, name: str) -> None:
        """The next file is being fetched."""
        self._name = name
        self._number += 1

    def found(self, count: int) -> None:
        """So many more bytes are here without being fetched now; less than 0 where some were thrown away."""
        self._bar.update(count)
        self._done += count

    def fetched(self, count: int) -> None:
        """So many more bytes have come."""
        self.found(count)
        self._fetched += count

    def tell(self) -> None:
        """Log how far it is."""
        rate = self._fetched / (time.monotonic() - self._begun)
        left = f"{format_seconds((self._total - self._done) / rate)} left" if rate else "nothing has come yet"
        log.info(
            "download: %s of %s, %s/s, %s, at %s (file %d of %d)",
            format_bytes(self._done),
            format_bytes(self._total),
            format_bytes(round(rate)),
            left,
            self._name,
            self._number,
            self._files,
        )
