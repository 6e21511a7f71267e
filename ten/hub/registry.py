"""Registry: hub datasets known by a short name, with what a listing does not say of them."""

import re
from collections.abc import Iterable

import msgspec

from ten.settings import nearest

_MOST_LISTED = 40


class KnownDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset whose place on the hub and whose text column are known beforehand. Counts are approximate."""

    name: str
    repo: str
    config: str | None = None
    held_out_split: str | None = None
    """The split that is never trained on; without one, documents of the training split are set apart."""
    text_column: str = "text"
    documents: int
    tokens: int
    """Of gpt2."""
    bytes: int
    """Of the training files as they lie on the hub."""
    streams: bool = False
    """Whether a job that names no mode is told that the dataset is too large to wait for."""
    aliases: tuple[str, ...] = ()
    """Other names for just this config: ids that no longer load, and repositories that have no other config."""


REGISTRY = (
    KnownDataset(
        name="finewebedu",
        repo="HuggingFaceFW/fineweb-edu",
        config="sample-10BT",
        documents=9_670_000,
        tokens=10_000_000_000,
        bytes=28_500_000_000,
        streams=True,
    ),
    KnownDataset(
        name="openwebtext",
        repo="Skylion007/openwebtext",
        config="plain_text",
        documents=8_010_000,
        tokens=9_040_000_000,
        bytes=24_200_000_000,
        streams=True,
        aliases=("Skylion007/openwebtext", "owt"),
    ),
    KnownDataset(
        name="pg19",
        repo="emozilla/pg19",
        held_out_split="validation",
        documents=28_600,
        tokens=2_900_000_000,
        bytes=7_000_000_000,
        streams=True,
        aliases=("emozilla/pg19", "deepmind/pg19"),
    ),
    KnownDataset(
        name="wikitext-103",
        repo="Salesforce/wikitext",
        config="wikitext-103-raw-v1",
        held_out_split="validation",
        documents=1_800_000,
        tokens=118_000_000,
        bytes=310_000_000,
        aliases=("wikitext-103-raw", "wikitext-103-raw-v1", "wikitext:wikitext-103-raw-v1"),
    ),
    KnownDataset(
        name="imdb",
        repo="stanfordnlp/imdb",
        config="plain_text",
        held_out_split="test",
        documents=25_000,
        tokens=7_500_000,
        bytes=21_000_000,
        aliases=("stanfordnlp/imdb",),
    ),
    KnownDataset(
        name="ag_news",
        repo="fancyzhx/ag_news",
        config="default",
        held_out_split="test",
        documents=120_000,
        tokens=6_500_000,
        bytes=19_000_000,
        aliases=("fancyzhx/ag_news",),
    ),
    KnownDataset(
        name="tinystories",
        repo="roneneldan/TinyStories",
        held_out_split="validation",
        documents=2_120_000,
        tokens=475_000_000,
        bytes=1_000_000_000,
        aliases=("roneneldan/TinyStories",),
    ),
)


def known_dataset(name: str) -> KnownDataset | None:
    """The dataset of that name, alias or `namespace/repo:config`; letter case, `-` and `_` do not matter."""
    return _BY_KEY.get(_key(name))


def registered_of(repo: str) -> tuple[KnownDataset, ...]:
    """The registered datasets that a repository holds."""
    return tuple(known for known in REGISTRY if known.repo.lower() == repo.lower())


def registered_names() -> tuple[str, ...]:
    """The short names, in order of the alphabet."""
    return tuple(sorted(known.name for known in REGISTRY))


def offer(wanted: str, names: Iterable[str]) -> str:
    """What to choose from, for an error: the nearest name where one comes near, and the list."""
    ordered = sorted(names)
    listed = ", ".join(ordered[:_MOST_LISTED])
    if len(ordered) > _MOST_LISTED:
        listed += f" and {len(ordered) - _MOST_LISTED} more"
    guess = nearest(wanted, ordered)
    return f"{guess} (known: {listed})" if guess.startswith("did you mean") else f"known: {listed or 'none'}"


def _key(name: str) -> str:
    return re.sub("[-_]", "", name).lower()


def _names(known: KnownDataset) -> Iterable[str]:
    yield known.name
    yield from known.aliases
    if known.config is not None:
        yield f"{known.repo}:{known.config}"


_BY_KEY = {_key(name): known for known in REGISTRY for name in _names(known)}
