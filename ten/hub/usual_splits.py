"""Usual splits: which files are for training, validation and tests where no card says so; the rules of `datasets`."""

import posixpath
import re
from collections.abc import Mapping, Sequence

from ten.hub.patterns import is_hidden

TRAIN = "train"
KEYWORDS = {
    TRAIN: ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SHARD = re.compile(r"data/([^/]+)-\d{5}-of-\d{5}[^/]*\.[^/]*")


def usual_splits(inner_names: Mapping[str, str]) -> dict[str, list[str]]:
    """Split → full names; `inner_names` maps names relative to the config's folder to full ones.

    Shards in `data/` decide; else words in the names of folders, else of files; else everything is for training.
    """
    seen = {inner: name for inner, name in inner_names.items() if not is_hidden(inner)}
    sharded: dict[str, list[str]] = {}
    for inner, name in seen.items():
        if shard := _SHARD.fullmatch(inner):
            sharded.setdefault(shard[1], []).append(name)
    if sharded:
        return sharded
    for place in (posixpath.dirname, posixpath.basename):
        named = {
            split: [name for inner, name in seen.items() if _has_word(place(inner), words)]
            for split, words in KEYWORDS.items()
        }
        if any(named.values()):
            return {split: some for split, some in named.items() if some}
    return {TRAIN: list(seen.values())} if seen else {}


def _has_word(text: str, words: Sequence[str]) -> bool:
    return any(re.search(rf"(?:^|[-._ 0-9/]){word}(?:[-._ 0-9/]|$)", text) for word in words)
