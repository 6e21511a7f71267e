"""Choice: the corpus behind a job's dataset: listed here, looked up at the hub, or as another machine has packed it."""

import logging
from collections.abc import Callable
from functools import partial

from ten.calls.patience import read_patience
from ten.data.settings import DataSettings
from ten.dataset.place import Place
from ten.dataset.reading import Reading, listing_request
from ten.errors import MissingInput
from ten.job import JobSpec
from ten.text.corpus import Corpus
from ten.text.elsewhere import find_listing, listing_key
from ten.text.hub_corpus import HubName
from ten.text.opening import open_corpus
from ten.text.pins import known_corpus, pinned_corpus

log = logging.getLogger(__name__)

_PIN_PATIENCE_S = 120.0
"""Shortest time that a rank waits for the one that looks the dataset up; longer where that one may wait longer."""

Read = Callable[[Corpus], Reading]


def choose_reading(spec: JobSpec, place: Place, hub: HubName | None, run: str, read: Read) -> Reading:
    """The dataset's listing, read as the job reads it; that of a hub dataset is looked up once for all over the store.

    A job that needs no text reads what another machine over the store has packed of files that this one has not.
    Raises MissingInput where the dataset is nowhere, and what listing raises.
    """
    make = partial(_open, spec.data, place)
    if hub is not None:
        return _hub_reading(spec, place, hub, run, read, make)
    return _shared_reading(spec, place, read, make)


def may_be_folder(hub: HubName, data: DataSettings) -> bool:
    """Whether a name that means a hub's dataset here, `data/books`, may be a folder where its pack was made."""
    is_plain = hub.known is None and hub.config is None and data.dataset == hub.repo
    return is_plain and data.revision is None and data.split is None


def _open(data: DataSettings, place: Place) -> Corpus:
    return open_corpus(data.dataset, data.text_column, place.store.root, revision=data.revision, split=data.split)


def _hub_reading(
    spec: JobSpec, place: Place, hub: HubName, run: str, read: Read, make: Callable[[], Corpus]
) -> Reading:
    data, store, known = spec.data, place.store, None
    request = hub.request(data.revision, data.split, data.text_column)
    if place.is_remote and may_be_folder(hub, data):
        known = known_corpus(store, request, hub.slug, run=run, leads=place.leads)
        if known is None and (packed := _packed_elsewhere(spec, place, read)) is not None:
            return packed
    corpus = known or pinned_corpus(
        store,
        request,
        hub.slug,
        make,
        run=run,
        leads=place.leads,
        patience_s=max(_PIN_PATIENCE_S, 2 * read_patience().total_s),
    )
    return read(corpus)


def _shared_reading(spec: JobSpec, place: Place, read: Read, make: Callable[[], Corpus]) -> Reading:
    """Of files that are on one machine and perhaps not, or not the same, on the others that share the store."""
    try:
        own = read(make())
    except MissingInput as error:
        if (packed := _packed_elsewhere(spec, place, read)) is not None:
            return packed
        raise MissingInput(f"{error}; and {place.store.url} has no pack of it that this job could read") from None
    if spec.mode != "pretok" or not place.is_remote:  # over a folder it is this machine that has changed the files
        return own
    listed = find_listing(place.store, listing_request(spec))
    if listed is None or listed.fingerprint == own.corpus.fingerprint or own.is_begun:
        return own
    _tell(spec, place, "the files here are not those that were packed; what another machine packed is read")
    return read(listed)


def _packed_elsewhere(spec: JobSpec, place: Place, read: Read) -> Reading | None:
    """What another machine has packed, if the job can do without the files: a finished pack, or any in mode pretok."""
    if spec.mode == "pack" or (listed := find_listing(place.store, listing_request(spec))) is None:
        return None
    reading = read(listed)
    if spec.mode != "pretok" and not reading.is_packed:
        return None
    _tell(spec, place, "is not on this machine; what another one packed is read")
    return reading


def _tell(spec: JobSpec, place: Place, what: str) -> None:
    log.info("%s: %s (%s/%s)", spec.data.dataset, what, place.store.url, listing_key(listing_request(spec)))
