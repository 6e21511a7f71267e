"""Hub corpus: a dataset's name → its repository at the hub → the files of the split, as a corpus at a commit."""

import logging
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from ten.errors import DataError, MissingInput, ServiceUnavailable, SpecError
from ten.hub.layout import Selection, Wanted, select_files
from ten.hub.registry import KnownDataset, known_dataset
from ten.hub.repository import MAIN, RepositoryFile, list_files, resolve
from ten.hub.usual_splits import TRAIN
from ten.logs import said_when_slow
from ten.text.corpus import FORMATS, STDLIB, Corpus, HubRequest, SourceFile, file_address, make_slug
from ten.units import counted

if TYPE_CHECKING:
    from ten.hub.transport import Transport

log = logging.getLogger(__name__)

_WORD = r"[A-Za-z0-9][\w.-]*"
_REPOSITORY = re.compile(rf"(?P<repo>{_WORD}/{_WORD})(?::(?P<config>[^\s:]+))?")
_PAGES = "tree|blob|resolve|viewer|discussions|commits"
_PASTED = re.compile(
    r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/|hf://datasets/|datasets/(?=[^/]+/[^/]+$))"
    rf"(?P<name>{_WORD}(?:/(?!(?:{_PAGES})(?:/|$)){_WORD})?(?::[^\s:/@]+)?)(?P<rest>[/@].*)?"
)
"""An address as browsers and other libraries show it."""
_AT = re.compile(r"(?:@|/(?:tree|blob|resolve)/)(?P<revision>refs/\w+/[^/]+|[^/]+)(?P<path>/.*)?")
_VIEWED = re.compile(r"/viewer/(?P<config>[^/]+)(?:/(?P<split>[^/]+))?")
_SLOW_S = 3.0
"""How long the hub may take before it is said that it is asked."""


class HubName(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataset's name means at the hub."""

    dataset: str
    """As it was typed, without the address around it."""
    repo: str
    config: str | None
    known: KnownDataset | None = None

    @property
    def slug(self) -> str:
        """A short name for folders: the same however a registered dataset was named."""
        if self.known is not None:
            return make_slug(self.known.name)
        return make_slug(f"{self.repo}-{self.config or ''}")

    def request(self, revision: str | None, split: str | None, column: str | None) -> HubRequest:
        """What a job asks of it; the branch `main` is what is meant without a revision."""
        revision = None if revision == MAIN else revision
        return HubRequest(repo=self.repo, config=self.config, split=split, revision=revision, text_column=column)


def hub_name(dataset: str) -> HubName | None:
    """The repository that a dataset's name means, or None where it means something on this machine.

    A registered name goes before a file or folder, and these before `namespace/repo` and addresses with it inside.
    Raises SpecError for a registered name with another config and for an address of less than a dataset.
    """
    name = _bare(dataset)
    known = known_dataset(name)
    if known is not None:
        return HubName(dataset=name, repo=known.repo, config=known.config, known=known)
    match, (short, _, config) = _REPOSITORY.fullmatch(name), name.partition(":")
    if (known := known_dataset(short)) is not None and match is None and config and not Path(dataset).exists():
        raise SpecError(f"{dataset}: a registered name takes no config; write {known.repo}:{config}")
    if name == STDLIB or match is None or name.lower().endswith(FORMATS) or Path(dataset).exists():
        return None
    return HubName(dataset=name, repo=match["repo"], config=match["config"])


def list_hub_corpus(
    name: HubName,
    *,
    revision: str | None = None,
    split: str | None = None,
    column: str | None = None,
    transport: "Transport | None" = None,
) -> Corpus:
    """The files of a dataset's split, those it holds out itself last, at the commit that `revision` is now.

    Two requests for a registered dataset; its text column is settled, that of another is not. Raises SpecError for an
    unknown config or split, DataError where nothing can be read, MissingInput where nothing is there, and what the
    transport raises.
    """
    if transport is None:
        from ten.hub.transport import shared_transport  # takes 0.1 s to import

        transport = shared_transport()
    known = name.known
    wanted = Wanted(
        repo=name.repo,
        config=name.config,
        split=split or TRAIN,
        held_out_split=known.held_out_split if known else None,
        formats=FORMATS,
    )
    asked = name.request(revision, split, column)
    if known is not None and Path(name.dataset).exists():
        log.info("%s is the hub's dataset; write ./%s for what lies here", name.dataset, name.dataset)
    try:
        with _told_when_slow(name):
            snapshot = resolve(transport, name.repo, asked.revision)
    except (MissingInput, ServiceUnavailable) as error:
        raise type(error)(f"{error}{_not_here(name)}") from None
    chosen = select_files(snapshot.names, snapshot.configs, wanted)
    _tell_left_out(name, chosen)
    files = list_files(transport, snapshot, (*chosen.files, *chosen.held_out))
    if not any(file.bytes for file in files[: len(chosen.files)]):
        raise DataError(f"{name.dataset}: empty corpus: no bytes in its {counted(len(chosen.files), 'file')}")
    return Corpus(
        dataset=name.dataset,
        slug=name.slug,
        revision=snapshot.commit,
        config=chosen.config,
        files=tuple(_source(file, name.repo, snapshot.commit) for file in files),
        held_out_files=len(chosen.held_out),
        text_column=known.text_column if known and column in (None, known.text_column) else None,
        asked=asked,
    )


def streaming_note(name: HubName) -> str | None:
    """What a job is told that streams a dataset too large to wait for."""
    if name.known is None or not name.known.streams:
        return None
    size = f"{name.known.bytes / 1e9:.3g} GB"
    return (
        f"{name.dataset} streams from {name.repo} while it is read (about {size} in all); "
        f"--full downloads all of it first"
    )


def _bare(dataset: str) -> str:
    """`namespace/repo[:config]` out of an address that was copied; another name as it is."""
    shown = re.split(r"[?#]", dataset)[0] if "://" in dataset else dataset
    pasted = _PASTED.fullmatch(shown)
    if pasted is None or Path(dataset).exists():
        return dataset
    name, rest = pasted["name"], (pasted["rest"] or "").rstrip("/")
    at, viewed = _AT.fullmatch(rest), _VIEWED.fullmatch(rest)
    if at is not None and unquote(at["revision"]) != MAIN:
        raise SpecError(f"{shown}: write {name} --revision {unquote(at['revision'])}")
    if (at is not None and at["path"]) or (shown.startswith("hf:") and rest.startswith("/")):
        raise SpecError(f"{shown} is a part of a dataset; write {name}, or {name}:CONFIG for one of its configs")
    if viewed is not None and (viewed["config"], viewed["split"] or TRAIN) != ("default", TRAIN):
        raise SpecError(
            f"{shown}: write {name}:{unquote(viewed['config'])} --split {unquote(viewed['split'] or TRAIN)}"
        )
    return name


def _told_when_slow(name: HubName) -> AbstractContextManager[None]:
    """Say after a while that the hub is asked for what may have been meant as a path."""
    if name.known is not None:
        return nullcontext()
    return said_when_slow(log, _SLOW_S, "%s: no file or folder here; looking for it at the hub", name.dataset)


def _source(file: RepositoryFile, repo: str, commit: str) -> SourceFile:
    path = file_address(repo, commit, file.name)
    return SourceFile(name=file.name, path=path, bytes=file.bytes, probe=file.content)


def _not_here(name: HubName) -> str:
    """That a name with a slash may have been meant as a path."""
    return "" if name.known else f"; nor is there a file or folder {name.dataset!r} here"


def _tell_left_out(name: HubName, chosen: Selection) -> None:
    if chosen.left_out:
        count, first = counted(len(chosen.left_out), "file"), chosen.left_out[0]
        log.info("%s: not read, of another format than most: %s, such as %s", name.dataset, count, first)
