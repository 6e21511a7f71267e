"""Pins: a hub dataset's resolution, kept in the store, so that whoever asks later reads the same commit."""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from ten.errors import DataError, MissingInput, ServiceUnavailable
from ten.hub.registry import registered_of
from ten.hub.usual_splits import TRAIN
from ten.store.durable import write_atomically
from ten.store.protocol import Store
from ten.store.side_by_side import read_side_by_side
from ten.text.corpus import Corpus, HubRequest, file_address
from ten.text.units import Unit, plan_units
from ten.units import counted

log = logging.getLogger(__name__)

FILE_NAME = "corpus.json"
"""Name of the pin that is kept beside a run or a pack."""
_POLL_S = 0.1
_SLOWER = 1.5
"""From one look to the next: some hundred ranks that count on one store may wait for an hour."""
_SLOWEST_POLL_S = 5.0

Pinned = TypeVar("Pinned")


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
    except (ValueError, RecursionError) as error:
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
    key = pin_key(request, slug)
    if (known := known_corpus(store, request, slug, run=run, leads=leads)) is not None:
        return known
    if not leads:
        awaited = f"looked up {request.repo}"
        return _wait(lambda: _find(store, key, request), _place(store, key), awaited, patience_s)
    corpus = make()
    if (earlier := _find(store, key, request)) is not None:  # another leader was faster, and others have read its pin
        return earlier
    store.write(key, encode_corpus(corpus))
    corpus = _find(store, key, request) or corpus  # whoever wrote last is who others read
    _tell(corpus, request, _place(store, key))
    return corpus


def known_corpus(store: Store, request: HubRequest, slug: str, *, run: str, leads: bool = True) -> Corpus | None:
    """The corpus as the run `run` has it, else as the store has pinned it; None where neither has.

    A store that is no folder is asked for both at once. Raises DataError for a damaged pin.
    """
    own, key = f"runs/{run}/{FILE_NAME}", pin_key(request, slug)
    kept_data, pinned_data = read_side_by_side(store, [own, key])
    kept = _answer(kept_data, _place(store, own), request)
    if kept is None:
        return _answer(pinned_data, _place(store, key), request)
    if leads:
        _tell_other_pin(pinned_data, _place(store, key), request, run, kept)
    return kept


def pinned_units(
    store: Store,
    corpus: Corpus,
    records: int,
    make: Callable[[], tuple[Unit, ...]],
    *,
    leads: bool = True,
    patience_s: float = 120.0,
) -> tuple[Unit, ...]:
    """The units of a corpus's first `records` records: counted once, so that no later job must read to count.

    Only a process that leads its machine counts; the others wait, ServiceUnavailable after `patience_s`. Raises
    DataError for a damaged pin and whatever `make` raises.
    """
    planned = hashlib.sha256(msgspec.json.encode(plan_units(corpus.files, corpus.held_out_files))).hexdigest()
    key = f"pins/{corpus.slug}-{corpus.fingerprint[:12]}-{planned[:8]}-first-{records}.json"
    if (pinned := _find_units(store, key)) is not None:
        return pinned
    if not leads:
        awaited = f"counted the first {records} records of {corpus.dataset}"
        return _wait(lambda: _find_units(store, key), _place(store, key), awaited, patience_s)
    units = make()
    if (earlier := _find_units(store, key)) is not None:
        return earlier
    store.write(key, msgspec.json.encode(units))
    return _find_units(store, key) or units


def pin_key(request: HubRequest, slug: str) -> str:
    """Where a store keeps the answer to a request."""
    return f"pins/{slug}-{hashlib.sha256(msgspec.json.encode(request)).hexdigest()[:8]}.json"


def keep_corpus(folder: Path, corpus: Corpus) -> None:
    """Put a hub dataset's pin beside a run; nothing for another corpus."""
    if corpus.is_pinned:
        write_atomically(folder / FILE_NAME, encode_corpus(corpus))


def _find(store: Store, key: str, request: HubRequest) -> Corpus | None:
    (data,) = read_side_by_side(store, [key])
    return _answer(data, _place(store, key), request)


def _answer(data: bytes | None, place: str, request: HubRequest) -> Corpus | None:
    """The corpus in a pin, if it is there and answers the request."""
    if data is None:
        return None
    corpus = decode_corpus(data, place)
    return corpus if _answers(corpus, request) else None


def _find_units(store: Store, key: str) -> tuple[Unit, ...] | None:
    try:
        return msgspec.json.decode(store.read(key), type=tuple[Unit, ...])
    except MissingInput:
        return None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{_place(store, key)}: no list of units ({error}); delete it to have it made anew") from None


def _answers(corpus: Corpus, request: HubRequest) -> bool:
    """Whether a corpus is what a request asks for; a run's own record asks for the commit that it once got."""
    if corpus.asked is None:
        return False
    return request in (corpus.asked, msgspec.structs.replace(corpus.asked, revision=corpus.revision))


def _wait(find: Callable[[], Pinned | None], place: str, awaited: str, patience_s: float) -> Pinned:
    deadline, pause_s = time.monotonic() + patience_s, _POLL_S
    while time.monotonic() < deadline:
        if (pinned := find()) is not None:
            return pinned
        time.sleep(pause_s)
        pause_s = min(_SLOWER * pause_s, _SLOWEST_POLL_S)
    raise ServiceUnavailable(
        f"{place}: this machine's first rank has not {awaited} within {patience_s:.0f} s; see what it says"
    )


def _tell_other_pin(data: bytes | None, place: str, request: HubRequest, run: str, kept: Corpus) -> None:
    try:
        pinned = _answer(data, place, request)
    except DataError:  # whoever reads it says so
        return
    if pinned is not None and pinned.revision != kept.revision:
        ours, theirs = kept.revision[:12], pinned.revision[:12]
        log.info("%s: run %s goes on from its own commit %s; the store has pinned %s", request.repo, run, ours, theirs)


def _tell(corpus: Corpus, request: HubRequest, place: str) -> None:
    chosen = f"config {corpus.config}, " if corpus.config is not None else ""
    others = "".join(
        f"; {known.name} is config {known.config} of it"
        for known in registered_of(request.repo)
        if request.config is None and known.config not in (None, corpus.config)
    )
    size, count = _decimal(corpus.bytes), counted(len(corpus.files), "file")
    log.info("%s: %ssplit %s, %s, %s%s", request.repo, chosen, request.split or TRAIN, count, size, others)
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


def _decimal(count: int) -> str:
    """Bytes as the hub's own pages count them."""
    power, unit = next(((power, unit) for power, unit in ((1e9, "GB"), (1e6, "MB")) if count >= power), (1e3, "kB"))
    return f"{count / power:.3g} {unit}"


def _place(store: Store, key: str) -> str:
    return str(store.local_path(key) or f"{store.url}/{key}")
