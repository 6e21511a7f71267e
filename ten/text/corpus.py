"""Corpus: an ordered list of files at a pinned revision, and what to read in them."""

import glob
import hashlib
import logging
import os
import platform
import re
import sysconfig
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from ten.errors import DataError, MissingInput
from ten.hub.address import HubAddress
from ten.hub.registry import offer, registered_names
from ten.spelling import nearest_beside
from ten.units import counted

log = logging.getLogger(__name__)

FOREIGN = (".csv", ".csv.gz", ".tsv", ".json", ".json.gz", ".arrow")
"""Suffixes of the files that are read through the `datasets` library."""
FORMATS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", *FOREIGN)
"""Suffixes of the files a corpus may hold; `.py` files occur in the embedded corpus only."""
STDLIB = "stdlib"
"""Name of the embedded corpus: the source files of the running Python's standard library."""
ELSEWHERE = "elsewhere:"
"""How the paths of files begin that only another machine has; their packs can be read, they themselves cannot."""

_PROBES, _PROBE_BYTES = 16, 4096
_NOT_LIBRARY = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test", "lib2to3", "config"}


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a corpus."""

    name: str
    """Portable name, relative to the corpus; the same wherever the corpus lies."""
    path: str
    """Where the file is read from now: a path, an `hf://datasets/` address at a commit, or `elsewhere:`."""
    bytes: int
    probe: str = ""
    """sha256 of the content, above 64 KiB of samples of it (see `_probe`): most edits of the same size are noticed.

    Of a file from the hub the content's id there, `sha256:…` or `git:…` (a blob's hash), wherever its copy lies.
    """
    form: str = ""
    """The suffix that its content would deserve, where its name has another: `.jsonl` for a `.json` of lines."""

    @property
    def format(self) -> str:
        """The suffix that decides how documents are read."""
        return self.form or next((suffix for suffix in (*FORMATS, ".py") if self.name.lower().endswith(suffix)), "")

    @property
    def is_elsewhere(self) -> bool:
        """Whether only another machine has the file."""
        return self.path.startswith(ELSEWHERE)


class HubRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A hub dataset as a job asks for it, before anything is looked up; None where the job leaves it open."""

    repo: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    """A branch, tag or commit."""
    text_column: str | None = None


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """Files in reading order. Two corpora with the same fingerprint give the same documents."""

    dataset: str
    """What the user typed."""
    slug: str
    """A short name for folders."""
    revision: str
    """Of a hub dataset its commit."""
    config: str | None = None
    """Of a hub dataset the config that was chosen, where it has any."""
    files: tuple[SourceFile, ...]
    held_out_files: int = 0
    """So many files at the end are the dataset's own held-out split."""
    text_column: str | None = None
    """The column (Parquet) or key (JSONL) that holds the text."""
    asked: HubRequest | None = None
    """What this is the answer to, where it comes from the hub."""

    @property
    def is_pinned(self) -> bool:
        """Whether the files are those of a hub dataset at a commit, wherever their bytes lie."""
        return self.asked is not None

    @property
    def bytes(self) -> int:
        """Bytes of all files as they lie on disk."""
        return sum(file.bytes for file in self.files)

    @property
    def fingerprint(self) -> str:
        """sha256 over text column and every file's name, size, probe and (where it is set) form, in order.

        The revision is left out: a commit that only mends a dataset's card must not make a pack useless.
        """
        files = [(file.name, file.bytes, file.probe, *filter(None, [file.form])) for file in self.files]
        content = [self.text_column, files]
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()

    def without_held_out(self) -> "Corpus":
        """The corpus of the other files alone."""
        return msgspec.structs.replace(
            self, files=self.files[: len(self.files) - self.held_out_files], held_out_files=0
        )


def list_corpus(dataset: str, ignoring: Path | None = None) -> Corpus:
    """The files behind a dataset's name (`stdlib`, a file, a folder or a glob), without its text column.

    What lies below the folder `ignoring` is no part of it: a store inside a dataset's folder would change it.

    Raises MissingInput when nothing is there and DataError when nothing in it can be read as text.
    """
    if dataset == STDLIB:
        return _stdlib()
    root, paths = _local_paths(dataset)
    if ignoring is not None:
        paths = [path for path in paths if ignoring not in path.absolute().parents]
    known = _readable(dataset, paths)
    if not known:
        found = ", ".join(sorted({path.suffix or path.name for path in paths})[:8])
        raise DataError(f"{dataset}: no file of a known format ({' '.join(FORMATS)}); found {found}")
    files = tuple(_describe(path, root) for path in known)
    if not any(file.bytes for file in files):
        raise DataError(f"{dataset}: empty corpus: no bytes in its {counted(len(files), 'file')}")
    return Corpus(dataset=dataset, slug=local_slug(dataset), revision="local", files=files)


def is_as_listed(file: SourceFile) -> bool:
    """Whether a file on this disk has the size and the samples of the listing. Raises what reading it raises."""
    path = Path(file.path)
    size = path.stat().st_size
    return size == file.bytes and _probe(path, size) == file.probe


def file_address(repo: str, commit: str, name: str) -> str:
    """Where a file of a hub dataset lies."""
    return str(HubAddress(kind="datasets", repo=repo, revision=commit, path=name))


def make_slug(name: str) -> str:
    """A dataset's name as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "corpus"


def local_slug(dataset: str) -> str:
    """The slug of a dataset that is no hub's: what its file, folder or glob is called."""
    return make_slug(Path(dataset).name.split(".")[0])


def _local_paths(dataset: str) -> tuple[Path, list[Path]]:
    given = Path(dataset).expanduser()
    if given.is_file():
        return given.parent, [given]
    if given.is_dir():
        root, found = given, (path for path in given.rglob("*") if path.suffix)
    elif glob.has_magic(dataset):
        matches = [Path(match) for match in glob.glob(str(given), recursive=True)]  # noqa: PTH207 - absolute patterns
        root = Path(os.path.commonpath([match.parent for match in matches])) if matches else given
        found = (match for match in matches)
    else:
        raise MissingInput(
            f"dataset {dataset!r}: no such file, folder or registered name{nearest_beside(given) or ';'} "
            f"{offer(dataset, registered_names())}; or give the hub's namespace/repo[:config], a path or glob of "
            f"{' '.join(FORMATS)} files, or {STDLIB!r}"
        )
    paths = sorted(path for path in found if path.is_file())
    if not paths:
        raise MissingInput(f"dataset {dataset!r}: no file there; check the path or quote the glob")
    return root, paths


def _readable(dataset: str, paths: list[Path]) -> list[Path]:
    """Files of known formats; beside our own formats a .json or .csv file describes the data more often than it is."""
    formats = {path: SourceFile(name=path.name, path="", bytes=0).format for path in paths}
    ours = [path for path in paths if formats[path] in FORMATS and formats[path] not in FOREIGN]
    foreign = [path for path in paths if formats[path] in FOREIGN]
    if ours and foreign:
        count = counted(len(foreign), "file")
        log.info("%s: not read, beside the data: %s, such as %s", dataset, count, foreign[0].name)
    return ours or foreign


def _describe(path: Path, root: Path) -> SourceFile:
    name = PurePosixPath(path.relative_to(root)).as_posix()
    if any("\ud800" <= letter <= "\udfff" for letter in name):  # as Python shows bytes that are not UTF-8
        raise DataError(f"{str(path)!r}: the file's name is not UTF-8; rename it")
    try:
        size = path.stat().st_size
        return SourceFile(name=name, path=_clean(path), bytes=size, probe=_probe(path, size))
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror}; check its permissions") from None


def _clean(path: Path) -> str:
    """A file's absolute path without `..`, which may follow a link."""
    return str(path.parent.resolve() / path.name if ".." in path.parts else path.absolute())


def _probe(path: Path, size: int) -> str:
    """sha256 of up to 16 evenly spaced 4 KiB samples: all of a small file, ends and strides of a large one."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= _PROBES * _PROBE_BYTES:
            digest.update(file.read())
        else:
            for index in range(_PROBES):
                file.seek((size - _PROBE_BYTES) * index // (_PROBES - 1))
                digest.update(file.read(_PROBE_BYTES))
    return digest.hexdigest()


def _stdlib() -> Corpus:
    root = Path(sysconfig.get_path("stdlib"))
    files = tuple(_describe(path, root) for path in sorted(_library_sources(root)))
    if not files:
        raise MissingInput(f"{root}: this Python comes without its library's sources; name another dataset")
    version = platform.python_version()
    return Corpus(dataset=STDLIB, slug=STDLIB, revision=f"Python {version}", files=files)


def _library_sources(root: Path) -> Iterable[Path]:
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in _NOT_LIBRARY and not name.startswith("config-")]
        yield from (
            Path(folder, name) for name in names if name.endswith(".py") and not name.startswith("_sysconfigdata")
        )
