"""Listings of files that only another machine has."""

from pathlib import Path

import pytest

from ten.errors import DataError, MissingInput
from ten.store.memory import MemoryStore
from ten.text.documents import count_records, read_documents, text_column
from ten.text.elsewhere import ListingRequest, find_listing, listing_key, publish_listing
from ten.text.opening import open_corpus
from tests.data.small import make_texts, write_jsonl

REQUEST = ListingRequest(dataset="books/tales.jsonl")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store with the listing of a corpus of ten documents."""
    (tmp_path / "books").mkdir()
    write_jsonl(tmp_path / "books" / "tales.jsonl", make_texts(10))
    monkeypatch.chdir(tmp_path)
    store = MemoryStore()
    publish_listing(store, REQUEST, open_corpus(REQUEST.dataset), replace=False)
    return store


def test_a_listing_says_all_but_where_the_files_are(store: MemoryStore, tmp_path: Path) -> None:
    found, own = find_listing(store, REQUEST), open_corpus(REQUEST.dataset)
    assert found is not None
    assert (found.fingerprint, found.slug, found.text_column) == (own.fingerprint, own.slug, "text")
    assert found.files[0].is_elsewhere and not own.files[0].is_elsewhere
    assert str(tmp_path).encode() not in store.read(listing_key(REQUEST))


def test_an_earlier_listing_stays_until_it_is_replaced(store: MemoryStore) -> None:
    first = find_listing(store, REQUEST)
    write_jsonl(Path(REQUEST.dataset), make_texts(11))
    publish_listing(store, REQUEST, open_corpus(REQUEST.dataset), replace=False)
    assert find_listing(store, REQUEST) == first
    publish_listing(store, REQUEST, open_corpus(REQUEST.dataset), replace=True)
    assert find_listing(store, REQUEST) != first


def test_what_is_asked_otherwise_has_another_listing(store: MemoryStore) -> None:
    others = [ListingRequest(dataset=name) for name in ("tales.jsonl", "./books/tales.jsonl")]
    others.append(ListingRequest(dataset=REQUEST.dataset, text_column="text"))
    assert len({listing_key(request) for request in (REQUEST, *others)}) == 4
    assert [find_listing(store, request) for request in others] == [None] * 3


def test_files_elsewhere_are_not_read(store: MemoryStore) -> None:
    found = find_listing(store, REQUEST)
    assert found is not None
    for read in (lambda file: list(read_documents(file)), count_records, lambda file: text_column(file, None)):
        with pytest.raises(MissingInput, match=r"^tales\.jsonl: has to be read, and lies on another machine"):
            read(found.files[0])


def test_a_damaged_listing_is_named(store: MemoryStore) -> None:
    store.write(listing_key(REQUEST), b"{")
    with pytest.raises(DataError, match=r"memory:/pins/tales-\w{8}\.json: no listing of a corpus .*; delete it"):
        find_listing(store, REQUEST)
