"""Repairing: what is damaged in a store, made good from sound copies elsewhere or taken out of every reader's way."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing

import msgspec

from ten.errors import DataError, MissingInput
from ten.holdings.contents import MANIFEST, find_checkpoints, place, read_small, sound_entry
from ten.holdings.meter import Meter, metered
from ten.holdings.naming import Holding
from ten.holdings.verify import AT_ONCE, Finding, verify
from ten.store.copying import copy_object
from ten.store.crew import Crew
from ten.store.durable import writing
from ten.store.in_order import in_order
from ten.store.protocol import Store
from ten.train.checkpoint_files import SEAL

Elsewhere = Callable[[Holding], Sequence[tuple[Store, Holding]]]
"""Where else a pack or run may lie."""


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about one object."""

    path: str
    done: str
    """In words."""
    mended: bool
    """Whether its pack or run is sound now as far as this object goes."""


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, and what is still wrong."""

    repairs: tuple[Repair, ...]
    damaged: tuple[Finding, ...]


def repair(store: Store, damaged: Sequence[Finding], elsewhere: Elsewhere) -> Repaired:
    """Replace what is damaged or missing by sound copies; take the rest out of the way where that helps.

    A shard of which there is no sound copy is put aside in its pack, so that it is packed anew. A damaged checkpoint
    without one is unpublished where its run has a sound one. Raises what a store fails with.
    """
    repairs: list[Repair] = []
    left: list[Finding] = []
    with metered("repair", sum(finding.item.bytes for finding in damaged)) as meter:
        mending = in_order(
            Crew(AT_ONCE), lambda finding: _mend(store, finding, elsewhere, meter), damaged, ahead=AT_ONCE
        )
        with closing(mending) as mended:
            for finding, done in zip(damaged, mended, strict=True):
                repairs += [done] if done else []
                left += [] if done and done.mended else [finding]
    listed = {it.holding.prefix: it.holding for it in damaged if _is_listing(it) and it not in left}
    if listed:  # what a manifest or COMPLETE lists is known only now
        more = repair(store, verify(store, list(listed.values())).damaged, elsewhere)
        repairs += more.repairs
        left = [finding for finding in left if finding.holding.prefix not in listed] + list(more.damaged)
    unpublished, left = _unpublish(store, left)
    return Repaired(repairs=(*repairs, *unpublished), damaged=tuple(left))


def _is_listing(finding: Finding) -> bool:
    return finding.item.name == MANIFEST or finding.item.name.endswith(f"/{SEAL}")


def _mend(store: Store, finding: Finding, elsewhere: Elsewhere, meter: Meter) -> Repair | None:
    with meter.counting(finding.item.bytes) as advance:
        for other, holding in elsewhere(finding.holding):
            try:
                _take(store, finding, other, holding, advance)
            except (DataError, MissingInput):  # no sound copy there
                continue
            copied = f"replaced by the sound copy {place(other, holding, finding.item.name)}"
            return Repair(path=finding.path, done=copied, mended=True)
    return _put_aside(store, finding) if finding.kind == "shard" else None


def _take(store: Store, finding: Finding, other: Store, holding: Holding, advance: Callable[[int], object]) -> None:
    """Replace an object by another place's copy. Raises DataError or MissingInput where that has no sound one."""
    item, key = finding.item, finding.holding.key(finding.item.name)
    sha256, about = item.sha256, item.about
    if sha256 is None and finding.kind != "shard":
        store.write(key, read_small(other, holding, item.name))
        return
    if sha256 is None:
        entry = sound_entry(other, holding, item)
        sha256, about = entry.sha256, msgspec.json.encode(entry).decode()
    copy_object(other, holding.key(item.name), store, key, sha256=sha256, about=about, advance=advance)


def _put_aside(store: Store, finding: Finding) -> Repair | None:
    """Keep a damaged shard for whoever wants to know why, where no reader looks; None when it is not there at all."""
    name = finding.item.name.rpartition("/")[2].removesuffix(".safetensors")
    key, aside = finding.holding.key(finding.item.name), f"damaged/{name}-{time.time_ns()}.safetensors"
    path, aside_path = store.local_path(key), store.local_path(finding.holding.key(aside))
    if (stat := store.stat(key)) is None:
        return None
    if path is not None and aside_path is not None:
        with writing(aside_path):
            aside_path.parent.mkdir(parents=True, exist_ok=True)
            path.replace(aside_path)
    else:
        # By a range: a store that knows the hash of the whole refuses to give what has not got it.
        store.write(finding.holding.key(aside), store.read_range(key, 0, stat.bytes))
        store.delete(key)
    listed = finding.item.sha256 is not None
    done = f"put aside as {place(store, finding.holding, aside)}; no sound copy was found"
    return Repair(path=finding.path, done=done, mended=not listed)


def _unpublish(store: Store, left: Sequence[Finding]) -> tuple[list[Repair], list[Finding]]:
    """Take COMPLETE from damaged checkpoints of runs that have a sound one; what was done, and what remains."""
    damaged = {(it.holding.prefix, _checkpoint(it)): it.holding for it in left if it.kind == "checkpoint"}
    done = {}
    for (prefix, name), run in damaged.items():
        if any((prefix, other) not in damaged for other in find_checkpoints(store, run)):
            store.delete(run.key(f"{name}/{SEAL}"))
            said = "unpublished: it is not used, and no sound copy was found"
            done[prefix, name] = Repair(path=place(store, run, name), done=said, mended=True)
    remains = [it for it in left if it.kind != "checkpoint" or (it.holding.prefix, _checkpoint(it)) not in done]
    return list(done.values()), remains


def _checkpoint(finding: Finding) -> str:
    return finding.item.name.rpartition("/")[0]
