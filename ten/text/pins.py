"""Pins: a hub dataset's resolution, kept in the store, so that whoever asks later reads the same commit."""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ten.errors import DataError, MissingInput, ServiceUnavailable
from ten.store.local import write_atomically
from ten.store.protocol import Store
from ten.text.corpus import Corpus, HubRequest, file_address
from ten.text.units import Unit

log = logging.getLogger(__name__)

FILE_NAME = "corpus.json"
"""Name of the pin that is kept beside a run or a pack."""
_POLL_S = 0.1


def encode_corpus(corpus: Corpus) -> bytes:
    """A hub corpus as indented JSON, which people can read; its files stand as they are at the hub."""
    assert corpus.asked is not None, "only hub corpora are pinned"
    at_hub = tuple(
        msgspec.structs.replace(file, path=file_address(corpus.asked.repo, corpus.revision, file.name))
        for file in corpus.files
    )
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(corpus, files=at_hub)), indent=1) + b"\n"


def decode_corpus(data: bytes, name: str) -> Corpus:
    """A corpus from its JSON, called `name` in errors. Raises DataError when it is damaged."""
    try:
        return msgspec.json.decode(data, type=Corpus)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: no listing of a corpus ({error}); delete it to have it made anew") from None


def pinned_corpus(
    store: Store,
    request: HubRequest,
    slug: str,
    make: Callable[[], Corpus],
    *,
    run: str,
    leads: bool = True,
    patience_s: float = 120.0,
) -> Corpus:
    """The corpus that answers a request: as the run `run` has it, else as the store has pinned it, else made now.

    Only a process that leads its machine makes it; the others wait for the pin, ServiceUnavailable after `patience_s`.
    Raises DataError for a damaged pin and whatever `make` raises.
    """
    if (kept := _find(store, f"runs/{run}/{FILE_NAME}", request)) is not None:
        return kept
    key = pin_key(request, slug)
    if (pinned := _find(store, key, request)) is not None:
        return pinned
    if not leads:
        return _wait(store, key, request, patience_s)
    corpus = make()
    if (earlier := _find(store, key, request)) is not None:  # another leader was faster, and others have read its pin
        return earlier
    store.write(key, encode_corpus(corpus))
    _tell(corpus, request, _place(store, key))
    return corpus


def pinned_units(store: Store, corpus: Corpus, records: int, make: Callable[[], tuple[Unit, ...]]) -> tuple[Unit, ...]:
    """The units of a hub corpus's first `records` records: counted once, so that no later job must read to count."""
    key = f"pins/{corpus.slug}-{corpus.fingerprint[:12]}-first-{records}.json"
    try:
        return msgspec.json.decode(store.read(key), type=tuple[Unit, ...])
    except MissingInput:
        units = make()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{_place(store, key)}: no list of units ({error}); delete it to have it made anew") from None
    store.write(key, msgspec.json.encode(units))
    return units


def pin_key(request: HubRequest, slug: str) -> str:
    """Where a store keeps the answer to a request."""
    return f"pins/{slug}-{hashlib.sha256(msgspec.json.encode(request)).hexdigest()[:8]}.json"


def keep_corpus(folder: Path, corpus: Corpus) -> None:
    """Put a hub dataset's pin beside a run; nothing for another corpus."""
    if corpus.is_pinned:
        write_atomically(folder / FILE_NAME, encode_corpus(corpus))


def _find(store: Store, key: str, request: HubRequest) -> Corpus | None:
    try:
        data = store.read(key)
    except MissingInput:
        return None
    corpus = decode_corpus(data, _place(store, key))
    return corpus if _answers(corpus, request) else None


def _answers(corpus: Corpus, request: HubRequest) -> bool:
    """Whether a corpus is what a request asks for; a run's own record asks for the commit that it once got."""
    if corpus.asked is None:
        return False
    return request in (corpus.asked, msgspec.structs.replace(corpus.asked, revision=corpus.revision))


def _wait(store: Store, key: str, request: HubRequest, patience_s: float) -> Corpus:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if (pinned := _find(store, key, request)) is not None:
            return pinned
        time.sleep(_POLL_S)
    raise ServiceUnavailable(
        f"{_place(store, key)}: this machine's first rank has not looked up {request.repo} within {patience_s:.0f} s; "
        "see what it says"
    )


def _tell(corpus: Corpus, request: HubRequest, place: str) -> None:
    if request.revision == corpus.revision:
        log.info("%s: commit %s, listed in %s", request.repo, corpus.revision[:12], place)
        return
    log.info(
        "%s: %s is commit %s, pinned in %s; delete that file to take a newer one",
        request.repo,
        request.revision or "main",
        corpus.revision[:12],
        place,
    )


def _place(store: Store, key: str) -> str:
    return str(store.local_path(key) or f"{store.url}/{key}")
