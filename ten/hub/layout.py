"""Layout: which files of a repository are a config's training and held-out files, decided from names and card."""

import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Never

import msgspec

from ten.errors import DataError, SpecError
from ten.hub.patterns import below, matching
from ten.hub.registry import offer
from ten.hub.usual_splits import KEYWORDS, TRAIN, usual_splits

_EXPORTED = re.compile(r"([^/]+)/([^/]+)/\d+\.parquet")
_PARTIAL = "partial-"
_NO_DATA = {"config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}

Splits = Mapping[str, Sequence[str]]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a repository."""

    repo: str
    config: str | None = None
    split: str = TRAIN
    held_out_split: str | None = None
    """Unset: the validation split where there is one."""
    formats: tuple[str, ...]
    """Suffixes that can be read, the preferred first."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a config, each list in order of the names."""

    config: str | None
    files: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Files of these splits that are of another format than most."""


def select_files(names: Sequence[str], configs: Sequence[Any] | None, wanted: Wanted) -> Selection:
    """The files of the wanted config and split, and those of its held-out split.

    `configs` is what the repository's card says under that name; without it the usual rules hold. Raises SpecError for
    an unknown config or split, with those there are, and DataError where the wanted files cannot be read or are only a
    part of them.
    """
    data = [name for name in names if posixpath.basename(name) not in _NO_DATA]
    config, splits = _config_splits(data, configs, wanted)
    if wanted.split not in splits:
        _refuse_split(splits, config, wanted, names)
    files, left_out = _readable(splits[wanted.split], wanted)
    if not files:
        _refuse_formats(splits[wanted.split], wanted)
    held_out: tuple[str, ...] = ()
    if (set_apart := _held_out_split(splits, wanted)) is not None:
        held_out, more = _readable(splits[set_apart], wanted)
        left_out += more
    return Selection(config=config, files=files, held_out=held_out, left_out=left_out)


def is_export(names: Sequence[str]) -> bool:
    """Whether these are the files of a Parquet export: CONFIG/SPLIT/0000.parquet and nothing else."""
    data = [name for name in names if not name.startswith(".") and not name.endswith(".md")]
    return bool(data) and all(_EXPORTED.fullmatch(name) for name in data)


def common_folder(names: Sequence[str]) -> str:
    """The deepest folder that holds all of these files; empty for the repository itself."""
    return posixpath.commonpath([f"/{posixpath.dirname(name)}" for name in names]).strip("/")


def _config_splits(names: Sequence[str], configs: Sequence[Any] | None, wanted: Wanted) -> tuple[str | None, Splits]:
    if configs:
        card = {str(entry["config_name"]): entry for entry in _understood(configs, wanted)}
        config = _pick_config(wanted, list(card), [name for name, entry in card.items() if entry.get("default")])
        return config, _card_splits(card[config], names, wanted)
    if is_export(names):
        exported: dict[str, dict[str, list[str]]] = {}
        for name in names:
            if found := _EXPORTED.fullmatch(name):
                exported.setdefault(found[1], {}).setdefault(found[2], []).append(name)
        config = _pick_config(wanted, list(exported), [])
        return config, exported[config]
    readable = [name for name in names if _format(name, wanted)]
    if wanted.config in (None, "default"):
        return wanted.config, usual_splits(below("", readable))
    if not (inside := below(str(wanted.config), readable)):
        raise SpecError(f"{wanted.repo}: no config {wanted.config!r}: its card has none; leave out :{wanted.config}")
    return wanted.config, usual_splits(inside)


def _pick_config(wanted: Wanted, known: list[str], flagged: list[str]) -> str:
    if wanted.config is not None:
        if wanted.config not in known:
            raise SpecError(f"{wanted.repo}: no config {wanted.config!r}; {offer(wanted.config, known)}")
        return wanted.config
    for choice in (flagged, [name for name in known if name == "default"], known):
        if len(choice) == 1:
            return choice[0]
    raise SpecError(f"{wanted.repo}: choose a config, as in {wanted.repo}:{sorted(known)[0]}; {offer('', known)}")


def _card_splits(entry: Mapping[str, Any], names: Sequence[str], wanted: Wanted) -> Splits:
    inside = below(str(entry.get("data_dir") or ""), names)
    items = entry.get("data_files")
    if not items:
        return usual_splits({inner: name for inner, name in inside.items() if _format(name, wanted)})
    if isinstance(items, str) or all(isinstance(item, str) for item in items):
        items = [{"split": TRAIN, "path": items}]
    splits: dict[str, list[str]] = {}
    for item in items:
        paths = [item["path"]] if isinstance(item["path"], str) else item["path"]
        for path in paths:
            if "://" in path:
                raise DataError(f"{wanted.repo}: its card names files elsewhere: {path.partition('?')[0]}")
            splits.setdefault(str(item["split"]), []).extend(matching(path, inside))
    return splits


def _understood(configs: Sequence[Any], wanted: Wanted) -> Sequence[Mapping[str, Any]]:
    for entry in configs:
        files = entry.get("data_files") if isinstance(entry, Mapping) else None
        items = files if isinstance(files, list) else [files]
        sound = isinstance(entry, Mapping) and "config_name" in entry
        if not sound or not (all(map(_is_path, items)) or all(map(_is_split, items))):
            raise DataError(f"{wanted.repo}: the configs in its card cannot be understood: {str(entry)[:200]}")
    return configs


def _is_path(item: Any) -> bool:
    return item is None or isinstance(item, str)


def _is_split(item: Any) -> bool:
    if not isinstance(item, Mapping) or "split" not in item:
        return False
    path = item.get("path")
    return isinstance(path, str) or (isinstance(path, list) and all(isinstance(one, str) for one in path))


def _refuse_split(splits: Splits, config: str | None, wanted: Wanted, names: Sequence[str]) -> Never:
    where = f"{wanted.repo}:{config}" if config else wanted.repo
    partial = f"{_PARTIAL}{wanted.split}"
    if partial in splits:
        raise DataError(
            f"{where}: the hub's Parquet export has only the beginning of split {wanted.split!r} ({partial}); look for "
            f"a copy of the dataset in Parquet, or take this part with --split {partial}"
        )
    if not any(splits.values()):
        _refuse_formats(names, wanted)
    raise SpecError(f"{where}: no split {wanted.split!r}; {offer(wanted.split, splits)}; choose one with --split NAME")


def _refuse_formats(names: Sequence[str], wanted: Wanted) -> Never:
    found = ", ".join(sorted({posixpath.splitext(name)[1] or name for name in names})[:8]) or "no file"
    known = " ".join(wanted.formats)
    raise DataError(f"{wanted.repo}: no file of a known format ({known}) for split {wanted.split!r}; found {found}")


def _held_out_split(splits: Splits, wanted: Wanted) -> str | None:
    candidates = (wanted.held_out_split,) if wanted.held_out_split else KEYWORDS["validation"]
    return next((name for name in candidates if name != wanted.split and splits.get(name)), None)


def _readable(names: Sequence[str], wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files of the most frequent format that can be read, and the others that could be."""
    families = {name: _family(suffix) for name in names if (suffix := _format(name, wanted))}
    if not families:
        return (), ()
    counts = Counter(families.values())
    order = [_family(suffix) for suffix in wanted.formats]
    most = max(counts, key=lambda family: (counts[family], -order.index(family)))
    chosen = tuple(sorted(name for name, family in families.items() if family == most))
    return chosen, tuple(sorted(families.keys() - set(chosen)))


def _format(name: str, wanted: Wanted) -> str:
    return next((suffix for suffix in wanted.formats if name.lower().endswith(suffix)), "")


def _family(suffix: str) -> str:
    """Formats that occur side by side in one dataset: compressed or not, a record a line or not."""
    plain = suffix.removesuffix(".gz").removesuffix(".zst")
    return ".jsonl" if plain == ".json" else plain
