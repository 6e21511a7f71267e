"""Elsewhere: listings of files on another machine, kept in a store beside the packs that were made of them."""

import hashlib

import msgspec

from ten.errors import DataError
from ten.store.protocol import Store
from ten.store.side_by_side import read_side_by_side
from ten.text.corpus import ELSEWHERE, Corpus, local_slug


class ListingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that is no hub's as a job asks for it."""

    dataset: str
    """As it was typed."""
    text_column: str | None = None


def listing_key(request: ListingRequest) -> str:
    """Where a store keeps the listing that answers a request."""
    digest = hashlib.sha256(msgspec.json.encode(request)).hexdigest()
    return f"pins/{local_slug(request.dataset)}-{digest[:8]}.json"


def publish_listing(store: Store, request: ListingRequest, corpus: Corpus, *, replace: bool) -> None:
    """Keep a corpus's listing, without the paths of this machine; an earlier one stays unless it is to be replaced."""
    files = tuple(msgspec.structs.replace(file, path=f"{ELSEWHERE}{file.name}") for file in corpus.files)
    data = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(corpus, files=files)), indent=1) + b"\n"
    if replace:
        store.write(listing_key(request), data)
    else:
        store.write_new(listing_key(request), data)


def find_listing(store: Store, request: ListingRequest) -> Corpus | None:
    """The corpus that the store's packs were made of when this was asked for; its files are elsewhere.

    Raises DataError for a listing that is damaged.
    """
    (data,) = read_side_by_side(store, [listing_key(request)])
    if data is None:
        return None
    try:
        corpus = msgspec.json.decode(data, type=Corpus)
    except (ValueError, RecursionError) as error:
        place = f"{store.url}/{listing_key(request)}"
        raise DataError(f"{place}: no listing of a corpus ({error}); delete it, and `ten pack` makes it anew") from None
    return corpus if corpus.dataset == request.dataset else None
