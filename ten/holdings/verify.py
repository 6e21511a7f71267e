"""Verifying: every byte of packs and checkpoints against the hashes they were published with."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from typing import Literal

import msgspec

from ten.data.manifest import Manifest, parse_page
from ten.errors import DataError, MissingInput, StoreError
from ten.holdings.contents import (
    CORPUS,
    MANIFEST,
    PACK_CURE,
    TOKENIZER,
    Item,
    find_checkpoints,
    page_item,
    place,
    read_checkpoint,
    read_manifest,
    read_small,
    shard_item,
    sound_entry,
    step_of,
    unlisted_shards,
)
from ten.holdings.meter import Meter, metered
from ten.holdings.naming import Holding
from ten.store.crew import Crew
from ten.store.hashing import sha256_of
from ten.store.in_order import in_order
from ten.store.protocol import Store
from ten.train.checkpoint_files import SEAL

AT_ONCE = 4
"""Objects read side by side; what is no file is read by several ranges at once besides."""
_AHEAD = 64
Kind = Literal["manifest", "page", "tokenizer", "corpus", "shard", "checkpoint"]
_CURES: dict[str, str] = {"checkpoint": "the checkpoint before it is used"}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one object."""

    path: str
    kind: Kind
    holding: Holding
    item: Item
    damage: str | None = None
    """What is wrong, in words, with the way out; None when it is sound."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was checked."""

    checked: int
    bytes: int
    unfinished: tuple[str, ...]
    """Packs without a manifest, as streaming leaves them: usable, and completed by `ten pack`."""
    damaged: tuple[Finding, ...]


Check = Callable[[Meter], Finding]


class _Plan(msgspec.Struct, kw_only=True):
    """What is to be read of one pack or run."""

    bytes: int
    checks: Iterator[Check]
    settled: list[Finding]
    """What reading its manifest or its COMPLETEs has shown already."""
    unfinished: bool = False


def verify(store: Store, holdings: Sequence[Holding]) -> Audit:
    """Check every byte of packs and runs; what is damaged or missing is said in the answer.

    Raises what the store raises when it fails.
    """
    plans = [
        _plan_pack(store, it) if it.kind == "pack" else _plan_checkpoints(store, it, find_checkpoints(store, it))
        for it in holdings
    ]
    return _carried_out(plans, holdings, store)


def _carried_out(plans: Sequence[_Plan], holdings: Sequence[Holding], store: Store) -> Audit:
    findings = [finding for plan in plans for finding in plan.settled]
    checked, size = len(findings), sum(finding.item.bytes for finding in findings)
    damaged = [finding for finding in findings if finding.damage]
    with metered("verify", sum(plan.bytes for plan in plans)) as meter:
        checks = chain.from_iterable(plan.checks for plan in plans)
        with closing(in_order(Crew(AT_ONCE), lambda check: check(meter), checks, ahead=_AHEAD)) as found:
            for finding in found:
                checked, size = checked + 1, size + finding.item.bytes
                damaged += [finding] if finding.damage else []
    unfinished = (place(store, it, "").rstrip("/") for it, plan in zip(holdings, plans, strict=True) if plan.unfinished)
    return Audit(checked=checked, bytes=size, unfinished=tuple(unfinished), damaged=tuple(damaged))


def verify_newest(store: Store, run: Holding) -> tuple[int, Audit] | None:
    """Check every byte of a run's newest checkpoint: its step and what was found; None where there is no checkpoint."""
    names = find_checkpoints(store, run)
    if not names:
        return None
    plan = _plan_checkpoints(store, run, names[-1:])
    return step_of(names[-1]), _carried_out([plan], [run], store)


def _plan_pack(store: Store, pack: Holding) -> _Plan:
    settled: list[Finding] = []
    manifest = None
    try:
        manifest = read_manifest(store, pack)
    except DataError as error:
        settled.append(_finding(store, pack, "manifest", Item(name=MANIFEST, bytes=0), str(error)))
    if manifest is None:
        shards = unlisted_shards(store, pack)
        checks: Iterator[Check] = (partial(_check, store, pack, "shard", shard) for shard in shards)
        size = sum(shard.bytes for shard in shards)
        return _Plan(bytes=size, checks=checks, settled=settled, unfinished=not settled)
    settled.append(_finding(store, pack, "manifest", Item(name=MANIFEST, bytes=0), None))
    return _Plan(bytes=manifest.bytes, checks=_pack_checks(store, pack, manifest), settled=settled)


def _pack_checks(store: Store, pack: Holding, manifest: Manifest) -> Iterator[Check]:
    yield partial(_check_small, store, pack, "tokenizer", TOKENIZER)
    if store.stat(pack.key(CORPUS)) is not None:
        yield partial(_check_small, store, pack, "corpus", CORPUS)
    yield from (partial(_check, store, pack, "shard", shard_item(entry)) for entry in manifest.shards)
    for number, page in enumerate(manifest.pages):
        item = page_item(number, page)
        where = place(store, pack, item.name)
        try:
            entries, damage = parse_page(store.read(pack.key(item.name)), page, where), None
        except (DataError, MissingInput) as error:
            entries, damage = [], str(error)
        yield partial(_settled, _finding(store, pack, "page", item, damage))
        yield from (partial(_check, store, pack, "shard", shard_item(entry)) for entry in entries)


def _plan_checkpoints(store: Store, run: Holding, names: Sequence[str]) -> _Plan:
    settled, checks, size = [], [], 0
    for name in names:
        seal, damage = Item(name=f"{name}/{SEAL}", bytes=0), None
        try:
            items = read_checkpoint(store, run, name).items
        except MissingInput:  # the process that trains the run has deleted it meanwhile
            continue
        except DataError as error:
            items, damage = [], f"{error}; {_CURES['checkpoint']}"
        settled.append(_finding(store, run, "checkpoint", seal, damage))
        checks += [partial(_check, store, run, "checkpoint", item) for item in items]
        size += sum(item.bytes for item in items)
    return _Plan(bytes=size, checks=iter(checks), settled=settled)


def _check(store: Store, holding: Holding, kind: Kind, item: Item, meter: Meter) -> Finding:
    with meter.counting(item.bytes) as advance:
        try:
            _require_sound(store, holding, item, advance)
        except (DataError, MissingInput) as error:
            if isinstance(error, DataError) or not _made_way(store, holding, kind, item):
                cure = f"; {_CURES.get(kind, PACK_CURE)}" if item.sha256 is not None else ""
                return _finding(store, holding, kind, item, f"{error}{cure}")
    return _finding(store, holding, kind, item, None)


def _made_way(store: Store, holding: Holding, kind: Kind, item: Item) -> bool:
    """Whether what is not there was taken away meanwhile, as those do who stream a pack or train a run."""
    if kind == "checkpoint":
        return store.stat(holding.key(f"{item.name.rpartition('/')[0]}/{SEAL}")) is None
    return item.sha256 is None


def _require_sound(store: Store, holding: Holding, item: Item, advance: Callable[[int], object]) -> None:
    """Raise DataError, or MissingInput, where an object is not what it must be."""
    key, where = holding.key(item.name), place(store, holding, item.name)
    if item.sha256 is None:
        sound_entry(store, holding, item)
        return
    stat = store.stat(key)
    if stat is None:
        raise MissingInput(f"{where}: missing")
    if stat.bytes != item.bytes:
        raise DataError(f"{where}: has {stat.bytes} bytes instead of {item.bytes}")
    try:
        found = sha256_of(store, key, item.bytes, advance)
        if found != item.sha256 and store.root is None:  # once is what the way here may have done
            found = sha256_of(store, key, item.bytes, advance)
    except StoreError as error:
        if store.root is None:
            raise
        raise DataError(str(error)) from None  # a disk that cannot read one file may well read the others
    if found != item.sha256:
        raise DataError(f"{where}: has sha256 {found[:12]}… instead of {item.sha256[:12]}…")


def _check_small(store: Store, pack: Holding, kind: Kind, name: str, _meter: Meter) -> Finding:
    damage, data = None, b""
    try:
        data = read_small(store, pack, name)
    except (DataError, MissingInput) as error:
        damage = str(error)
    return _finding(store, pack, kind, Item(name=name, bytes=len(data)), damage)


def _settled(finding: Finding, _meter: Meter) -> Finding:
    return finding


def _finding(store: Store, holding: Holding, kind: Kind, item: Item, damage: str | None) -> Finding:
    return Finding(path=place(store, holding, item.name), kind=kind, holding=holding, item=item, damage=damage)
