"""The `.env` file: whether every program reads it alike, and whether it is for its owner alone. Names, never values."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ten.doctor.dialects import readers_that_differ
from ten.doctor.finding import Verdict, fail, ok, skipped, warn
from ten.doctor.whereabouts import ask
from ten.environment import NAMED_BY

if TYPE_CHECKING:
    from dotenv.parser import Binding

_NOT_THERE = "no .env here"
_BOM = b"\xef\xbb\xbf"


def env_path() -> Path | None:
    """The file that was read; None without one."""
    named = os.environ.get(NAMED_BY)
    path = Path(named or ".env").expanduser()
    return path if path.is_file() else None


def check_alike(path: Path | None) -> Verdict:
    """Lines that make, bash or docker would read otherwise than `ten` does; names given twice."""
    if path is None:
        return skipped(_NOT_THERE)
    bindings = list(_bindings(path))
    twice = [name for name, count in Counter(binding.key or "" for binding in bindings).items() if count > 1]
    odd: dict[str, list[str]] = {}
    for binding in bindings:
        for reader in readers_that_differ(_line(binding), binding.value or ""):
            names = odd.setdefault(reader, [])
            if binding.key and binding.key not in names:
                names.append(binding.key)
    problems = [f"given twice, the last one counts: {', '.join(twice)}"] if twice else []
    problems += [f"{reader} reads otherwise: {', '.join(names)}" for reader, names in odd.items()]
    if path.read_bytes().startswith(_BOM):
        problems.append("it begins with a byte order mark, which bash and make take for a part of the first name")
    if not problems:
        return ok(f"{path}: {len(bindings)} variables that every program reads alike")
    return warn(
        f"{path}: {'. '.join(problems)}",
        'keep each name once; ten reads all of it right: let others have it by eval "$(python -m ten.environment)"',
    )


def check_private(path: Path | None) -> Verdict:
    """Whether others may read the file, and whether git has it."""
    if path is None:
        return skipped(_NOT_THERE)
    if not path.stat().st_size:
        return ok(f"{path}: empty")
    if ask("git", "-C", str(path.absolute().parent), "ls-files", "--error-unmatch", path.name) is not None:
        return fail(f"{path}: is in git", f"git rm --cached {path.name}, and make new keys: these are in its history")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return warn(f"{path}: mode {mode:04o}, others on this machine may use it", f"chmod 600 {path}")
    return ok(f"{path}: mode {mode:04o}, not in git")


def _bindings(path: Path) -> Iterator["Binding"]:
    from dotenv.parser import parse_stream  # takes 0.03 s to import

    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from (binding for binding in parse_stream(file) if binding.key is not None)


def _line(binding: "Binding") -> str:
    """The text of a binding, carriage return and all."""
    return binding.original.string.lstrip("\r\n").removesuffix("\n")
