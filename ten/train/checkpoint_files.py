"""Checkpoint folders on disk: written so that a reader sees a whole, verified one or none; found, cleaned, retained.

    checkpoints/step-00000100/model.safetensors  optimizer.safetensors  state.json  COMPLETE
    checkpoints/.writing-step-00000200/          what a writer that was killed left behind
    checkpoints/.fetching-step-00000300/         what has come so far from a store

COMPLETE is written last and holds the sha256 and the size of every other file. Free of torch.
"""

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from ten.errors import DataError, DiskFull
from ten.store.durable import sync_folder, writing
from ten.units import format_bytes

log = logging.getLogger(__name__)

SEAL = "COMPLETE"
Content = Callable[[], Iterable[bytes | memoryview]]
_NAME = re.compile(r"step-(\d{8,})")
_NAME_OF_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_WRITING = ".writing-"
_FETCHING = ".fetching-"


class FileSeal(msgspec.Struct, frozen=True, kw_only=True):
    """What a file must be."""

    sha256: str
    bytes: int


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """The content of COMPLETE."""

    step: int
    files: dict[str, FileSeal]


def publish(checkpoints: Path, step: int, files: Mapping[str, Content], *, expected_bytes: int) -> Path:
    """Write a checkpoint durably and return its folder; it becomes visible with its last name, COMPLETE.

    Raises DiskFull where there is no room, no permission or no place for it; nothing of the attempt
    stays and older checkpoints are untouched.
    """
    unfinished = checkpoints / f"{_WRITING}{folder_name(step)}"
    folder = checkpoints / folder_name(step)
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        _require_room(checkpoints, expected_bytes)
        _remove(unfinished)
        unfinished.mkdir()
        seals = {name: _write(unfinished / name, content()) for name, content in files.items()}
        sync_folder(unfinished)
        _remove(folder)
        unfinished.rename(folder)
        sync_folder(checkpoints)
        _write_seal(folder, Seal(step=step, files=seals))
    except OSError as error:
        with contextlib.suppress(OSError):
            clean(checkpoints)
        raise _no_room(checkpoints, expected_bytes, error) from error
    return folder


def fetching(checkpoints: Path, step: int) -> Path:
    """Where the files of a checkpoint gather that come from elsewhere; `adopt` makes a checkpoint of it."""
    return checkpoints / f"{_FETCHING}{folder_name(step)}"


def adopt(gathered: Path, seal: Seal) -> Path:
    """Make a checkpoint of a folder whose files are what `seal` says; what others left unfinished goes away.

    It appears whole. Raises DiskFull.
    """
    folder = gathered.with_name(folder_name(seal.step))
    with writing(folder):
        _write_seal(gathered, seal)
        _remove(folder)
        gathered.rename(folder)
        sync_folder(folder.parent)
        for other in folder.parent.glob(f"{_FETCHING}*"):
            shutil.rmtree(other)
    return folder


def find_newest(checkpoints: Path) -> Path | None:
    """The newest checkpoint whose every byte is what its COMPLETE says; None when none was ever completed.

    A damaged one is named in the log and the one before it is tried; where another process replaces them meanwhile, as
    it does that trains the run, its new ones are. Raises DataError when all are damaged.
    """
    there, damaged = complete(checkpoints), []
    for folder in reversed(there):
        damage = find_damage(folder)
        if damage is None:
            return folder
        if (folder / SEAL).is_file():
            log.error("checkpoint %s is damaged and is not used: %s", folder, damage)
            damaged.append(folder.name)
    if complete(checkpoints) != there:
        return find_newest(checkpoints)
    if damaged:
        raise DataError(
            f"{checkpoints}: every checkpoint is damaged ({', '.join(damaged)}); copy a good one back, or delete"
            " them to begin the run again"
        )
    return None


def complete(checkpoints: Path) -> list[Path]:
    """Folders of checkpoints that were completed, by step; unverified."""
    if not checkpoints.is_dir():
        return []
    found = [f for f in checkpoints.iterdir() if _NAME.fullmatch(f.name) and (f / SEAL).is_file()]
    return sorted(found, key=step_of)


def find_damage(folder: Path) -> str | None:
    """What is wrong with a completed checkpoint, in words; None when each file has its size and its sha256."""
    try:
        seal = read_seal(folder)
        for name, wanted in seal.files.items():
            size = (folder / name).stat().st_size
            if size != wanted.bytes:
                return f"{name} has {size} bytes instead of {wanted.bytes}"
            found = _sha256(folder / name)
            if found != wanted.sha256:
                return f"{name} has sha256 {found[:12]}… instead of {wanted.sha256[:12]}…"
    except (OSError, DataError) as error:
        return str(error)
    return None if seal.step == step_of(folder) else f"{SEAL} is that of step {seal.step}"


def is_sound(path: Path, file: FileSeal) -> bool:
    """Whether a file is there and is what its seal says."""
    return path.is_file() and path.stat().st_size == file.bytes and _sha256(path) == file.sha256


def read_seal(folder: Path) -> Seal:
    """COMPLETE of a checkpoint; DataError when it is damaged."""
    return decode_seal((folder / SEAL).read_bytes(), str(folder / SEAL))


def decode_seal(data: bytes, name: str) -> Seal:
    """The content of a COMPLETE that is called `name`; DataError when it is damaged or names files elsewhere."""
    try:
        seal = msgspec.json.decode(data, type=Seal)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: damaged: {error}") from None
    if not seal.files:
        raise DataError(f"{name}: damaged: it names no file")
    if wrong := [file for file in seal.files if not _NAME_OF_FILE.fullmatch(file)]:
        raise DataError(f"{name}: damaged: {wrong[0]!r} is no name of a file beside it")
    return seal


def clean(checkpoints: Path) -> None:
    """Remove what killed writers left: temporary folders, and folders without COMPLETE. Only for the writer."""
    for folder in checkpoints.iterdir() if checkpoints.is_dir() else ():
        unsealed = _NAME.fullmatch(folder.name) and not (folder / SEAL).is_file()
        if folder.name.startswith(_WRITING) or unsealed:
            log.info("removing the unfinished checkpoint %s", folder)
            _remove(folder)


def retain(checkpoints: Path, keep_last: int, *kept: Path) -> None:
    """Delete all but the newest `keep_last` completed checkpoints; never `kept`: the newest known whole, and others."""
    for folder in complete(checkpoints)[:-keep_last]:
        if folder not in kept:
            _remove(folder)


def find_step(name: str) -> int | None:
    """100 for step-00000100; None for another name."""
    return int(name.removeprefix("step-")) if _NAME.fullmatch(name) else None


def folder_name(step: int) -> str:
    """step-00000100 for 100."""
    return f"step-{step:08d}"


def step_of(folder: Path) -> int:
    """100 for …/step-00000100."""
    return int(folder.name.removeprefix("step-"))


def _write(path: Path, content: Iterable[bytes | memoryview]) -> FileSeal:
    sha256 = hashlib.sha256()
    size = 0
    with path.open("xb", buffering=0) as file:
        for piece in content:
            sha256.update(piece)
            _write_all(file.fileno(), piece)
            size += len(piece)
        os.fsync(file.fileno())
    return FileSeal(sha256=sha256.hexdigest(), bytes=size)


def _write_all(descriptor: int, piece: bytes | memoryview) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]


def _write_seal(folder: Path, seal: Seal) -> None:
    new = folder / f".{SEAL}.new"
    _write(new, [msgspec.json.format(msgspec.json.encode(seal), indent=2)])
    new.rename(folder / SEAL)
    sync_folder(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(folder: Path) -> None:
    if folder.exists():
        # COMPLETE goes first: a kill in the middle must leave an unfinished checkpoint, not a damaged one.
        (folder / SEAL).unlink(missing_ok=True)
        shutil.rmtree(folder)


def _require_room(checkpoints: Path, expected_bytes: int) -> None:
    if shutil.disk_usage(checkpoints).free < expected_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(checkpoints))


def _no_room(checkpoints: Path, expected_bytes: int, error: OSError) -> DiskFull:
    place = next(p for p in (checkpoints, *checkpoints.parents) if p.exists())
    free = shutil.disk_usage(place).free
    return DiskFull(
        f"{checkpoints}: cannot write a checkpoint ({error.strerror}); it needs {format_bytes(expected_bytes)},"
        f" {format_bytes(free)} are free. Older checkpoints are intact. Make room or set checkpoint.keep_last lower,"
        " then run the same command again"
    )
