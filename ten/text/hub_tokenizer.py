"""Hub tokenizers: a model repository's tokenizer.json at a pinned revision, kept here so that it is asked for once."""

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ten.errors import DataError, MissingInput, ServiceUnavailable, SpecError
from ten.hub.address import HubAddress
from ten.store.durable import write_atomically
from ten.store.protocol import Store
from ten.store.side_by_side import read_side_by_side

if TYPE_CHECKING:
    from ten.hub.transport import Transport

log = logging.getLogger(__name__)

_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?:@([\w./-]+))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE = "tokenizer.json"
_BAKED = "TEN_TOKENIZERS"
"""The variable that names a folder of tokenizers that came with the image."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A pinned tokenizer as an object of a store."""

    commit: str
    content: str


def is_hub_name(name: str) -> bool:
    """Whether a tokenizer's name has the form `namespace/repo` or `namespace/repo@revision`."""
    return bool(_NAME.fullmatch(name)) and not name.endswith(".json")


def hub_tokenizer(
    name: str, cache_dir: Path, transport: "Transport | None" = None, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """The content of the tokenizer.json of `namespace/repo[@revision]`: the pinned one, else the one there is now.

    What is pinned, or lies in the folder that TEN_TOKENIZERS names, needs no network; else `transport` asks, by default
    this process's own. With HF_HUB_OFFLINE=1, and where the hub does not answer, the Hugging Face cache is looked into.
    Raises SpecError where the repository has none, and what the transport raises.
    """
    _take_baked(name, cache_dir, environment)
    pin, commit = _pinned(name, cache_dir)
    if commit is None or not _kept(name, commit, cache_dir).is_file():
        commit, content = _find(name, commit, transport, environment)
        tree = parse_definition(content, name)
        write_atomically(_kept(name, commit, cache_dir), content)
        write_atomically(pin, f"{commit}\n".encode())
        log.info("tokenizer %s is pinned to commit %s in %s; delete that file to take a newer one", name, commit, pin)
        return tree
    path = _kept(name, commit, cache_dir)
    return parse_definition(path.read_bytes(), str(path))


def is_at_hand(name: str, cache_dir: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a hub's tokenizer needs no network here: it is pinned and kept, or came with the image."""
    pin, commit = _pinned(name, cache_dir)
    if commit is not None and _kept(name, commit, cache_dir).is_file():
        return True
    return _baked(pin, commit, name, cache_dir, environment) is not None


def take_from_store(name: str, cache_dir: Path, store: Store) -> None:
    """Pin a tokenizer here as a store has it, where the cache has none and the store does.

    Raises DataError when what the store has is damaged.
    """
    pin, commit = _pinned(name, cache_dir)
    if commit is not None and _kept(name, commit, cache_dir).is_file():
        return
    (data,) = read_side_by_side(store, [_key(pin)])
    if data is None:
        return
    try:
        stored = msgspec.json.decode(data, type=_Stored)
        if not _COMMIT.fullmatch(stored.commit):  # it becomes a part of a path here
            raise msgspec.ValidationError("it names no commit")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{store.url}/{_key(pin)}: no tokenizer ({error}); delete it to have it made anew") from None
    write_atomically(_kept(name, stored.commit, cache_dir), stored.content.encode())
    write_atomically(pin, f"{stored.commit}\n".encode())


def keep_in_store(name: str, cache_dir: Path, store: Store) -> None:
    """Let other machines take a tokenizer that is pinned here from the store, unless it has one by that name."""
    pin, commit = _pinned(name, cache_dir)
    if commit is not None:
        content = _kept(name, commit, cache_dir).read_text(encoding="utf-8")
        store.write_new(_key(pin), msgspec.json.encode(_Stored(commit=commit, content=content)))


def _take_baked(name: str, cache_dir: Path, environment: Mapping[str, str]) -> None:
    """Pin a tokenizer here as it came with the image, where the cache has none and the image does."""
    pin, commit = _pinned(name, cache_dir)
    if commit is not None and _kept(name, commit, cache_dir).is_file():
        return
    if (found := _baked(pin, commit, name, cache_dir, environment)) is not None:
        commit, path = found
        write_atomically(_kept(name, commit, cache_dir), path.read_bytes())
        write_atomically(pin, f"{commit}\n".encode())


def _baked(
    pin: Path, commit: str | None, name: str, cache_dir: Path, environment: Mapping[str, str]
) -> tuple[str, Path] | None:
    """Commit and file of a tokenizer that came with the image, at `commit` where one is pinned; None without it."""
    folder = environment.get(_BAKED)
    if not folder:
        return None
    baked = Path(folder)
    if commit is None and (baked / pin.name).is_file():
        commit = (baked / pin.name).read_text(encoding="ascii").strip()
    if commit is None or not (path := baked / _kept(name, commit, cache_dir).name).is_file():
        return None
    return commit, path


def parse_definition(content: bytes, where: str) -> dict[str, Any]:
    """The tree in the bytes of a tokenizer.json. Raises SpecError naming `where` they are from."""
    try:
        tree = json.loads(content)
    except ValueError as error:
        raise SpecError(f"{where}: not a readable tokenizer.json: {error}") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("model"), dict):
        raise SpecError(f"{where}: not a tokenizer.json: it has no model")
    return tree


def _parts(name: str) -> tuple[str, str]:
    """Repository and revision, `main` where none is given."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise SpecError(f"tokenizer {name!r}: not of the form namespace/repo[@revision]")
    return match[1], match[2] or "main"


def _pinned(name: str, cache_dir: Path) -> tuple[Path, str | None]:
    """The file that pins a name to a commit, and the commit where it is known."""
    repo, revision = _parts(name)
    asked = "" if revision == "main" else f"@{quote(revision, safe='')}"
    pin = cache_dir / "tokenizers" / f"{repo.replace('/', '--')}{asked}.pin"
    if _COMMIT.fullmatch(revision):
        return pin, revision
    if not pin.is_file():
        return pin, None
    commit = pin.read_text(encoding="ascii", errors="replace").strip()
    if not _COMMIT.fullmatch(commit):
        raise SpecError(f"{pin}: names no commit; delete it to ask the hub again")
    return pin, commit


def _key(pin: Path) -> str:
    return f"tokenizers/{pin.name}.json"


def _kept(name: str, commit: str, cache_dir: Path) -> Path:
    return cache_dir / "tokenizers" / f"{_parts(name)[0].replace('/', '--')}@{commit}.json"


def _find(
    name: str, commit: str | None, transport: "Transport | None", environment: Mapping[str, str]
) -> tuple[str, bytes]:
    """Commit and content, from the hub or, where it cannot be asked, from its clients' cache."""
    if transport is None:
        from ten.hub.transport import shared_transport

        transport = shared_transport()
    repo, revision = _parts(name)
    try:
        return _fetch(repo, commit or revision, transport)
    except ServiceUnavailable as error:
        found = _clients_cache(repo, commit or revision, environment)
        if found is not None:
            log.warning("tokenizer %s is taken from the Hugging Face cache, for: %s", name, error)
            return found
        raise ServiceUnavailable(f"tokenizer {name!r}: {error} (the Hugging Face cache has none either)") from None


def _fetch(repo: str, revision: str, transport: "Transport") -> tuple[str, bytes]:
    address = HubAddress(kind="models", repo=repo, revision=revision, path=_FILE)
    try:
        content, headers = transport.content(address)
    except MissingInput:
        _explain(repo, revision, transport)
        raise
    commit = headers.get("X-Repo-Commit", revision)
    return (commit if _COMMIT.fullmatch(commit) else _information(repo, revision, transport)["sha"]), content


def _explain(repo: str, revision: str, transport: "Transport") -> None:
    """Raise SpecError where the repository is there without the file, or is a data set."""
    try:
        siblings = _information(repo, revision, transport).get("siblings") or []
    except MissingInput:
        try:
            transport.get_json(f"/api/datasets/{repo}", f"whether {repo} is a data set")
        except MissingInput:
            return
        raise SpecError(f"tokenizer {repo!r}: is a data set at the hub; name the repository of a model") from None
    names = sorted(entry["rfilename"] for entry in siblings)
    if _FILE not in names:
        raise SpecError(
            f"tokenizer {repo!r}: the repository has no {_FILE}, but {', '.join(names[:12]) or 'no files'}; make one "
            f"with AutoTokenizer.from_pretrained({repo!r}).save_pretrained(FOLDER) and give that folder's path"
        ) from None


def _information(repo: str, revision: str, transport: "Transport") -> dict[str, Any]:
    path = f"/api/models/{repo}/revision/{quote(revision, safe='')}"
    found, _headers = transport.get_json(path, f"what the model repository {repo} holds")
    return dict(found)


def _clients_cache(repo: str, revision: str, environment: Mapping[str, str]) -> tuple[str, bytes] | None:
    """Commit and content as the hub's own clients keep them: `models--ns--name/{refs,snapshots}`."""
    home = environment.get("HF_HOME") or f"{environment.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    hub = Path(environment.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    folder = hub / f"models--{repo.replace('/', '--')}"
    named = folder / "refs" / revision
    commit = named.read_text(encoding="ascii", errors="replace").strip() if named.is_file() else revision
    path = folder / "snapshots" / commit / _FILE
    return (commit, path.read_bytes()) if _COMMIT.fullmatch(commit) and path.is_file() else None
