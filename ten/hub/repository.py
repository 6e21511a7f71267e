"""Repository: a dataset's commit, card and files, as the hub's API tells them."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec
import yaml

from ten.errors import DataError, MissingInput, ServiceUnavailable
from ten.hub.address import HubAddress
from ten.hub.layout import common_folder

if TYPE_CHECKING:
    from ten.hub.transport import Transport

log = logging.getLogger(__name__)

EXPORT = "refs/convert/parquet"
"""Revision at which the hub keeps its own Parquet copy of a dataset in another form."""
MAIN = "main"
"""The branch that is meant where no revision is named."""
_CARD = "README.md"

Answer = TypeVar("Answer")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A repository at one commit."""

    repo: str
    commit: str
    names: tuple[str, ...]
    """All files."""
    configs: tuple[Any, ...] | None = None
    """What the card says under `configs`."""


class RepositoryFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the hub lists it."""

    name: str
    bytes: int
    content: str
    """`sha256:` and the hash of its bytes, or `git:` and its blob's hash."""


class _Sibling(msgspec.Struct):
    rfilename: str


class _Description(msgspec.Struct):
    sha: str
    siblings: list[_Sibling] = []
    card: Any = msgspec.field(name="cardData", default=None)


class _LargeFile(msgspec.Struct):
    oid: str
    size: int


class _Entry(msgspec.Struct):
    type: str
    path: str
    oid: str = ""
    size: int = 0
    lfs: _LargeFile | None = None


def resolve(transport: "Transport", repo: str, revision: str | None = None) -> Snapshot:
    """The repository at a branch, tag or commit; unset: at `main`, or where a script makes its data at their export.

    One request; one more where the hub does not pass on the card, and for an export. Raises MissingInput when the
    repository or revision is not there or its data are made by a script, CredentialsError when it may not be read.
    """
    snapshot = _describe(transport, repo, revision or MAIN)
    script = _script(snapshot)
    if script is None:
        return snapshot
    cure = "choose a copy of it in Parquet, or run the script once and give the folder of its files"
    if revision is not None:
        raise MissingInput(
            f"{repo} at {revision}: its data are made by a script ({script}), which nothing runs any more; take the "
            f"hub's export with --revision {EXPORT}, {cure}"
        )
    try:
        exported = _describe(transport, repo, EXPORT)
    except MissingInput:
        raise MissingInput(
            f"{repo}: its data are made by a script ({script}), which nothing runs any more, and the hub has no "
            f"Parquet export of them; {cure}"
        ) from None
    log.info("%s: its data are made by a script (%s); the hub's Parquet export is read instead", repo, script)
    return exported


def list_files(transport: "Transport", snapshot: Snapshot, names: Sequence[str]) -> tuple[RepositoryFile, ...]:
    """Size and content of these files of a snapshot, in their order; one request for each thousand in their folder.

    Raises DataError when the hub does not list one of them.
    """
    folder = common_folder(names)
    below = f"/{quote(folder, safe='')}" if folder else ""
    path = f"/api/datasets/{snapshot.repo}/tree/{snapshot.commit}{below}?recursive=true"
    pages = transport.get_pages(path, f"the files of {snapshot.repo}")
    listed = {entry.path: entry for entry in _understood(pages, list[_Entry], snapshot.repo) if entry.type == "file"}
    if missing := next((name for name in names if name not in listed), None):
        raise DataError(f"{snapshot.repo} at {snapshot.commit[:12]}: the hub names {missing} and does not list it")
    return tuple(_file(listed[name]) for name in names)


def _file(entry: _Entry) -> RepositoryFile:
    if entry.lfs is not None:
        return RepositoryFile(name=entry.path, bytes=entry.lfs.size, content=f"sha256:{entry.lfs.oid}")
    return RepositoryFile(name=entry.path, bytes=entry.size, content=f"git:{entry.oid}")


def _describe(transport: "Transport", repo: str, revision: str) -> Snapshot:
    path = f"/api/datasets/{repo}/revision/{quote(revision, safe='')}"
    answer, _ = transport.get_json(path, f"the commit of {repo} at {revision}")
    found = _understood(answer, _Description, repo)
    names = tuple(sibling.rfilename for sibling in found.siblings)
    card = found.card
    if card is None and _CARD in names:
        text, _ = transport.content(HubAddress(kind="datasets", repo=repo, revision=found.sha, path=_CARD))
        card = _front_matter(text, repo)
    configs = card.get("configs") if isinstance(card, dict) else None
    return Snapshot(
        repo=repo, commit=found.sha, names=names, configs=tuple(configs) if isinstance(configs, list) else None
    )


def _front_matter(text: bytes, repo: str) -> Any:
    """The YAML between the `---` lines a card begins with."""
    lines = text.decode("utf-8", errors="replace").removeprefix("\ufeff").splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in lines[1:]:
        return None
    try:
        return yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    except yaml.YAMLError as error:
        raise DataError(f"{repo}: {_CARD} does not begin with valid YAML: {' '.join(str(error).split())}") from None


def _script(snapshot: Snapshot) -> str | None:
    """The script that would have made the data; files beside it are its input, and Parquet would be its output."""
    script = f"{snapshot.repo.rpartition('/')[2]}.py"
    made = snapshot.configs is not None or any(name.endswith(".parquet") for name in snapshot.names)
    return script if script in snapshot.names and not made else None


def _understood(answer: Any, shape: type[Answer], repo: str) -> Answer:
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        raise ServiceUnavailable(
            f"{repo}: what answered for the hub does not speak its language ({error}); is HF_ENDPOINT right, or does a "
            "proxy answer in its place?"
        ) from None
