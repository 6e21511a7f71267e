"""Damage to files and objects: flipped bits, cut ends; only such as a run can go on from without a person.

The last sound checkpoint of a place is spared, and run.json, which says what a run is; of the metrics only a last line
that no checkpoint covers is torn, as a machine leaves it that lost its power.
"""

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from botocore.exceptions import ClientError

from ten.errors import DataError
from ten.train.checkpoint_files import SEAL, complete, decode_seal, step_of
from ten.train.metrics import last_lines
from tests.standins.s3 import S3Stand

Read = Callable[[str], bytes]
_OF_PACKS = re.compile(r"(^|/)packs/[^/]+/(shards/\d+\.safetensors|manifest\.json|growing/\d+\.journal)$")
_SEALS = re.compile(rf"(?P<folder>.*checkpoints/step-\d+)/{SEAL}$")


def damage_file(root: Path, cut: bool, generator: random.Random) -> str | None:
    """Damage a file below a folder, by putting another in its place: open maps keep the old one. Its name, or None."""
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()]
    try:
        name = _choose(names, lambda name: (root / name).read_bytes(), generator)
        data = _damaged((root / name).read_bytes(), cut, generator) if name else b""
        if data:
            new = (root / name).with_name(".damaged")
            new.write_bytes(data)
            new.replace(root / name)
    except FileNotFoundError:  # gone meanwhile
        return None
    return name if data else None


def damage_object(stand: S3Stand, bucket: str, cut: bool, generator: random.Random) -> str | None:
    """Damage an object, of which the store goes on saying what it said. Its key, or None."""
    keys = stand.keys(bucket)
    try:
        key = _choose(keys, lambda key: stand.get(bucket, key), generator)
        data = _damaged(stand.get(bucket, key), cut, generator) if key else b""
        if data:
            stand.put(bucket, key, data)
    except ClientError:  # gone meanwhile
        return None
    return key if data else None


def tear_metrics(run: Path, generator: random.Random) -> None:
    """Tear the last line of a run that nobody trains now."""
    path, saved = run / "metrics.jsonl", complete(run / "checkpoints")
    data = path.read_bytes() if path.is_file() else b""
    lines = last_lines(data)
    if lines and lines[-1].step > max(map(step_of, saved), default=0):
        path.write_bytes(data[: generator.randrange(data[:-1].rfind(b"\n") + 1, len(data))])


def _choose(names: Sequence[str], read: Read, generator: random.Random) -> str:
    """A file to damage, as often of a pack as of a run; nothing where there is none."""
    kinds = [[name for name in names if _OF_PACKS.search(name)], _of_newest_checkpoint(names, read)]
    there = [kind for kind in kinds if kind]
    return generator.choice(generator.choice(there)) if there else ""


def _of_newest_checkpoint(names: Sequence[str], read: Read) -> list[str]:
    """The files of the newest checkpoint, where another one is sound."""
    folders = sorted(found["folder"] for name in names if (found := _SEALS.match(name)))
    if not any(_is_sound(folder, names, read) for folder in folders[:-1]):
        return []
    return [name for name in names if name.startswith(f"{folders[-1]}/")]


def _is_sound(folder: str, names: Sequence[str], read: Read) -> bool:
    try:
        seal = decode_seal(read(f"{folder}/{SEAL}"), folder)
    except DataError:
        return False
    files = {f"{folder}/{name}": file.sha256 for name, file in seal.files.items()}
    return files.keys() <= set(names) and all(
        hashlib.sha256(read(name)).hexdigest() == sha256 for name, sha256 in files.items()
    )


def _damaged(data: bytes, cut: bool, generator: random.Random) -> bytes:
    """The bytes with one bit flipped, or cut short; nothing where there is nothing to damage."""
    if not data:
        return b""
    at = generator.randrange(len(data))
    if cut:
        return data[: max(1, at)]
    return data[:at] + bytes([data[at] ^ 1 << generator.randrange(8)]) + data[at + 1 :]
