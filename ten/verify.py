"""The verify verb: every byte of packs and checkpoints against the hashes they were published with. No torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ten import logs
from ten.data.entries import Entries
from ten.data.manifest import make_entry, parse_manifest
from ten.data.shards import open_shard
from ten.errors import DataError, MissingInput
from ten.settings import nearest
from ten.train.checkpoint_files import complete, find_damage


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one shard, manifest or checkpoint."""

    path: str
    kind: Literal["manifest", "shard", "checkpoint"]
    damage: str | None = None
    """What is wrong, in words, with the way out; None when it is sound."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was checked."""

    checked: int
    bytes: int
    unfinished: tuple[str, ...]
    """Packs without a manifest, as streaming leaves them: usable, and completed by `ten pack`."""
    damaged: tuple[Finding, ...]


def find_path(name: str | None, store: Path) -> Path:
    """What a name means: a path, or a pack or run of the store; without a name the store.

    Raises MissingInput with the nearest name where there is none of the kind.
    """
    if name is None:
        return store
    there = {path.name: path for kind in ("runs", "packs") for path in sorted((store / kind).glob("*"))}
    path = Path(name).expanduser()
    if path.exists() or (name not in there and len(path.parts) > 1):
        return path
    if name not in there:
        known = nearest(name, there) if there else f"nothing is in {store}"
        raise MissingInput(f"{name!r}: no path, and no pack or run of {store}; {known}")
    return there[name]


def verify(path: Path) -> Report:
    """Check a pack, a run, or every pack and run of a store.

    Raises MissingInput when there is nothing of the kind at `path`.
    """
    packs, runs = _packs(path), _runs(path)
    if not packs and not runs:
        raise MissingInput(
            f"{path}: no pack, run or store; give the folder that holds packs/ and runs/, or one of these"
        )
    work = [*(item for pack in packs for item in _pack_work(pack)), *(item for run in runs for item in _run_work(run))]
    findings: list[Finding] = []
    total = sum(_size(item) for _, item in work)
    with logs.progress("verify", total, "B") as bar:
        for kind, item in work:
            findings.append(_check(kind, item))
            bar.update(_size(item))
    return Report(
        checked=len(findings),
        bytes=total,
        unfinished=tuple(str(pack) for pack in packs if not (pack / "manifest.json").is_file()),
        damaged=tuple(finding for finding in findings if finding.damage is not None),
    )


Kind = Literal["manifest", "shard", "checkpoint"]


def _packs(path: Path) -> list[Path]:
    if (path / "shards").is_dir():
        return [path]
    return sorted(folder.parent for folder in (path / "packs").glob("*/shards"))


def _runs(path: Path) -> list[Path]:
    if (path / "checkpoints").is_dir():
        return [path]
    return sorted(folder.parent for folder in (path / "runs").glob("*/checkpoints"))


def _pack_work(pack: Path) -> Iterator[tuple[Kind, Path]]:
    if (pack / "manifest.json").is_file():
        yield "manifest", pack / "manifest.json"
    for shard in sorted((pack / "shards").glob("*.safetensors")):
        yield "shard", shard


def _run_work(run: Path) -> Iterator[tuple[Kind, Path]]:
    for folder in complete(run / "checkpoints"):
        yield "checkpoint", folder


def _check(kind: Kind, path: Path) -> Finding:
    if kind == "checkpoint":
        damage = find_damage(path)
        cure = "; the one before it is used; delete this folder to be rid of the message"
        return Finding(path=str(path), kind=kind, damage=damage and damage + cure)
    try:
        if kind == "manifest":
            _check_manifest(path)
        else:
            open_shard(path)
    except DataError as error:
        return Finding(path=str(path), kind=kind, damage=str(error))
    return Finding(path=str(path), kind=kind)


def _check_manifest(path: Path) -> None:
    """Every shard that the manifest lists is there with the bytes it lists."""
    pack, manifest = path.parent, parse_manifest(path.read_bytes(), str(path))
    for entry in Entries(manifest, lambda name: (pack / name).read_bytes(), str(pack)):
        shard = pack / "shards" / f"{entry.unit:05d}.safetensors"
        if not shard.is_file():
            raise DataError(
                f"{shard}: listed in the manifest and not there; `ten pack` with the same settings makes it anew"
            )
        if make_entry(open_shard(shard, verify=False).header, shard.read_bytes()) != entry:
            raise DataError(
                f"{shard}: not the file that the manifest lists; `ten pack` with the same settings makes it anew"
            )


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return path.stat().st_size
