"""Repositories that the stand-in of the hub serves: folders, their commits and branches, and who may read them.

ROOT/{datasets,models}/<namespace>/<name>/ holds the files of the first commit on `main`. Never served are `.hub.json`
(`Access`), `.branches/<quoted name>/` (first commit of another branch, e.g. `refs%2Fconvert%2Fparquet`) and
`.commits/<quoted branch>/<number>/` (what a later commit changed). Nothing is copied: files may be of any size.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

LFS_SUFFIXES = frozenset({".parquet", ".arrow", ".gz", ".zst", ".bz2", ".xz", ".zip", ".tar", ".bin", ".safetensors"})
LFS_BYTES = 10 * 1024**2
_ACCESS, _BRANCHES, _COMMITS, _REMOVED = ".hub.json", ".branches", ".commits", ".removed.json"


@dataclass(frozen=True)
class Access:
    """Who may read a repository, and its other names."""

    private: bool = False
    gated: str = ""
    """`auto` or `manual`: files only for the tokens below; empty for everybody."""
    tokens: tuple[str, ...] = ()
    """Tokens that have been let in."""
    aliases: tuple[str, ...] = ()
    """Names that lead here with a 307."""

    def write(self, folder: Path) -> None:
        """Put it into a repository's folder, before the repository is first asked for."""
        (folder / _ACCESS).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> "Access":
        """A repository's access; public when nothing is written."""
        path = folder / _ACCESS
        fields: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        for name in ("tokens", "aliases"):
            fields[name] = tuple(fields.get(name, ()))
        return Access(**fields)


@dataclass(frozen=True)
class Blob:
    """The content of one file in one commit."""

    path: Path
    size: int
    oid: str
    """sha1 of what git holds: the file or, for LFS, the pointer to it."""
    sha256: str = ""
    """Of the file; LFS only."""
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        """As the hub's headers have it."""
        return f'"{self.sha256 or self.oid}"'


@dataclass(frozen=True)
class Commit:
    """A tree of files under a name that follows from their content and history."""

    sha: str
    files: Mapping[str, Blob]
    title: str


class Digests:
    """sha256 of big files, remembered in ROOT between servers by size and time of change."""

    def __init__(self, root: Path) -> None:
        self._root, self._path = root, root / ".digests.json"
        self._known: dict[str, str] = json.loads(self._path.read_bytes()) if self._path.exists() else {}

    def blob(self, path: Path, name: str) -> Blob:
        """What a file is in a commit that calls it `name`."""
        size = path.stat().st_size
        if PurePosixPath(name).suffix not in LFS_SUFFIXES and size <= LFS_BYTES:
            return Blob(path, size, _git_sha1(path.read_bytes()))
        digest = self._sha256(path)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n".encode()
        return Blob(path, size, _git_sha1(pointer), digest, len(pointer))

    def _sha256(self, path: Path) -> str:
        state = path.stat()
        key = f"{path.relative_to(self._root)} {state.st_size} {state.st_mtime_ns}"
        if key not in self._known:
            with path.open("rb") as file:
                self._known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            draft = self._path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(self._known), encoding="utf-8")
            draft.replace(self._path)
        return self._known[key]


@dataclass
class Repository:
    """One repository: every commit stays readable when its branch moves on."""

    kind: str
    name: str
    folder: Path
    digests: Digests
    access: Access = field(init=False)
    branches: dict[str, list[str]] = field(init=False, default_factory=dict)
    """Names of the commits of a branch, the oldest first."""
    commits: dict[str, Commit] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.access = Access.read(self.folder)
        self._append("main", _files(self.folder), ())
        for folder in _folders(self.folder / _BRANCHES):
            self._append(unquote(folder.name), _files(folder), ())
        for branch in _folders(self.folder / _COMMITS):
            for folder in _folders(branch):
                self._append(unquote(branch.name), _files(folder), json.loads((folder / _REMOVED).read_bytes()))

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch or of a commit's name (7 digits are enough)."""
        revision = revision.removeprefix("refs/heads/")
        if revision in self.branches:
            return self.commits[self.branches[revision][-1]]
        found = [sha for sha in self.commits if len(revision) >= 7 and sha.startswith(revision)]
        return self.commits[found[0]] if len(found) == 1 else None

    def commit(self, files: Mapping[str, bytes | None], branch: str) -> str:
        """Move a branch on by files that are new, changed or (None) removed; the name of the new commit."""
        number = len(self.branches.get(branch, ()))
        folder = self.folder / _COMMITS / quote(branch, safe="") / f"{number:04d}"
        folder.mkdir(parents=True)
        for name, content in files.items():
            if content is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        removed = [name for name, content in files.items() if content is None]
        (folder / _REMOVED).write_text(json.dumps(removed), encoding="utf-8")
        return self._append(branch, _files(folder), removed)

    def _append(self, branch: str, files: Iterable[tuple[str, Path]], removed: Iterable[str]) -> str:
        history = self.branches.setdefault(branch, [])
        tree = dict(self.commits[history[-1]].files) if history else {}
        tree.update((name, self.digests.blob(path, name)) for name, path in files)
        tree = {name: tree[name] for name in sorted(set(tree) - set(removed))}
        content = [f"{blob.oid} {name}" for name, blob in tree.items()]
        lines = [f"{self.kind} {self.name} {branch}", *history[-1:], *content]
        sha = hashlib.sha1("\n".join(lines).encode()).hexdigest()
        self.commits[sha] = Commit(sha, tree, f"Commit {len(history)}")
        history.append(sha)
        return sha


class Repositories:
    """All repositories under one folder, each read when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digests = Digests(root)
        self._open: dict[tuple[str, str], Repository] = {}
        self._lock = threading.Lock()

    def get(self, kind: str, name: str) -> Repository | None:
        """A repository by its full name."""
        folder = self._root / kind / name
        with self._lock:
            if (kind, name) not in self._open and "/" in name and folder.is_dir():
                self._open[kind, name] = Repository(kind, name, folder, self._digests)
            return self._open.get((kind, name))

    def alias(self, kind: str, name: str) -> str | None:
        """The full name that another name stands for."""
        for folder in (self._root / kind).glob("*/*/"):
            if name in Access.read(folder).aliases:
                return folder.relative_to(self._root / kind).as_posix()
        return None

    def commit(self, kind: str, name: str, files: Mapping[str, bytes | None], branch: str) -> str:
        """Move a branch of a repository on.

        Raises KeyError when there is no such repository.
        """
        repository = self.get(kind, name)
        if repository is None:
            raise KeyError(f"{kind}/{name}")
        with self._lock:
            return repository.commit(files, branch)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """The files of a tree by their names in it."""
    own = (_ACCESS, _BRANCHES, _COMMITS, _REMOVED)
    found = ((path.relative_to(folder), path) for path in sorted(folder.rglob("*")) if path.is_file())
    return [(name.as_posix(), path) for name, path in found if name.parts[0] not in own]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
