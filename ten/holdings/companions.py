"""Companions: what is in a store beside a pack so that a job finds it: pins of its corpus, its trained tokenizer."""

import re
from collections.abc import Iterator

import msgspec

from ten.data.manifest import Manifest
from ten.errors import DataError
from ten.holdings.contents import place
from ten.holdings.naming import Holding
from ten.store.protocol import Store
from ten.text.pins import decode_corpus
from ten.text.tokens import make_tokenizer, trained_vocabulary

_FINGERPRINT = r"-[0-9a-f]{12}"
_WHERE = Holding(kind="pack", name="", prefix="")


def companions(store: Store, pack: Holding, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of each, as a store that is no folder has them. What is damaged is none."""
    slug = re.escape(re.sub(f"{_FINGERPRINT}$", "", pack.name))
    yield from _pins(store, slug, manifest)
    vocabulary = trained_vocabulary(manifest.tokenizer)
    if vocabulary is not None:
        yield from _tokenizers(store, f"{slug}{_FINGERPRINT}-bpe{vocabulary}", manifest)


def companion_key(key: str, store: Store) -> str:
    """Where a store has a companion: a folder has its tokenizers in its cache."""
    return f"cache/{key}" if store.root is not None and key.startswith("tokenizers/") else key


def _pins(store: Store, slug: str, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Listings that are this corpus's, and which units a subset of it has."""
    names, fingerprints = store.children("pins"), set()
    for name in (name for name in names if re.fullmatch(rf"{slug}-[0-9a-f]{{8}}\.json", name)):
        data = store.read(f"pins/{name}")
        try:
            corpus = decode_corpus(data, place(store, _WHERE, f"pins/{name}"))
        except DataError:  # whoever needs it says so
            continue
        if (corpus.dataset, corpus.revision) == (manifest.dataset, manifest.revision):
            fingerprints.add(corpus.fingerprint[:12])
            yield f"pins/{name}", data
    for name in names:
        counted = re.fullmatch(rf"{slug}-([0-9a-f]{{12}})-[0-9a-f]{{8}}-first-\d+\.json", name)
        if counted and counted[1] in fingerprints:
            yield f"pins/{name}", store.read(f"pins/{name}")


def _tokenizers(store: Store, name: str, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """What a job with this tokenizer would train, were it not there."""
    folder = companion_key("tokenizers/", store).rstrip("/")
    for found in store.children(folder):
        if not re.fullmatch(rf"{name}\.json", found):
            continue
        data = store.read(f"{folder}/{found}")
        try:
            fingerprint = make_tokenizer(manifest.tokenizer, msgspec.json.decode(data)).fingerprint
        except msgspec.DecodeError:
            continue
        if fingerprint == manifest.tokenizer_fingerprint:
            yield f"tokenizers/{found}", data
