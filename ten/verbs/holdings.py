"""The verbs about packs and runs as they lie in stores: verify, push, pull."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ten.dataset.place import DEFAULT_CACHE
from ten.errors import DataError, SpecError
from ten.flags import store_address
from ten.holdings.move import Moved
from ten.holdings.naming import Holding, find, find_at, find_named, is_address
from ten.holdings.repair import Elsewhere, Repair, repair
from ten.holdings.transfer import transfer
from ten.holdings.verify import Audit
from ten.holdings.verify import verify as audit_of
from ten.runs import run_folder
from ten.store.local import LocalStore
from ten.store.opening import open_store
from ten.store.protocol import Store
from ten.units import format_bytes
from ten.verbs.terminal import as_json, show


class VerifyReport(Audit, frozen=True, kw_only=True):
    """What was checked, what was done about it, and what is still damaged."""

    repairs: tuple[Repair, ...] = ()


def verify(arguments: argparse.Namespace) -> int:
    """Check packs and runs, and with --repair make them good; 65 while there is damage."""
    store, holdings = find(arguments.what, store_address(arguments))
    audit = audit_of(store, holdings)
    report = VerifyReport(**msgspec.structs.asdict(audit))
    if arguments.repair and audit.damaged:
        repaired = repair(store, audit.damaged, _elsewhere(store, arguments))
        report = msgspec.structs.replace(report, damaged=repaired.damaged, repairs=repaired.repairs)
    show(as_json(report) if arguments.json else _described(report))
    return DataError.exit_code if report.damaged else 0


def push(arguments: argparse.Namespace) -> int:
    """Move packs and runs from the near store to another one; 65 where some of it is damaged."""
    source, holdings = find(arguments.what, store_address(arguments))
    return _transfer(source, open_store(arguments.to), holdings, arguments)


def pull(arguments: argparse.Namespace) -> int:
    """Move packs and runs from another store to the near one; 65 where some of it is damaged there."""
    if arguments.where is not None:
        source = open_store(arguments.where)
        holdings = [find_named(arguments.what, source)]
    elif is_address(arguments.what) or Path(arguments.what).expanduser().exists():
        source, holdings = find_at(arguments.what)
    else:
        raise SpecError(f"pull {arguments.what}: from which store? `ten pull {arguments.what} s3://bucket/prefix`")
    return _transfer(source, open_store(store_address(arguments)), holdings, arguments)


def _transfer(source: Store, target: Store, holdings: Sequence[Holding], arguments: argparse.Namespace) -> int:
    moved = transfer(source, target, holdings, last=arguments.last)
    show(as_json(moved) if arguments.json else "\n".join(_moved(one) for one in moved))
    return DataError.exit_code if any(one.damaged for one in moved) else 0


def _moved(moved: Moved) -> str:
    cure = f"left out: `ten verify {moved.kind}s/{moved.name} --store {moved.source} --repair`, then the same again"
    return "\n".join(
        [
            f"{moved.kind} {moved.name}: {moved.moved} objects ({format_bytes(moved.moved_bytes)}) moved to "
            f"{moved.target}, {moved.there} ({format_bytes(moved.there_bytes)}) were there",
            *(f"  {note}" for note in moved.notes),
            *(f"  damaged: {damage}" for damage in moved.damaged),
            *([f"  {cure}"] if moved.damaged else []),
        ]
    )


def _described(report: VerifyReport) -> str:
    open_end = "unfinished pack (as streaming leaves them; `ten pack` with the same settings completes it)"
    sound = report.checked - len({finding.path for finding in report.damaged})
    return "\n".join(
        [
            *(f"{done.path}: {done.done}" for done in report.repairs),
            *(f"damaged {finding.kind}: {finding.damage}" for finding in report.damaged),
            *(f"{open_end}: {pack}" for pack in report.unfinished),
            f"{sound} of {report.checked} objects sound, {format_bytes(report.bytes)} read",
        ]
    )


def _elsewhere(store: Store, arguments: argparse.Namespace) -> Elsewhere:
    """Sound copies are looked for in the store that the command has, and in this machine's cache."""
    cache = Path(arguments.cache_dir or os.environ.get("TEN_CACHE_DIR") or DEFAULT_CACHE).expanduser()
    near = open_store(store_address(arguments))

    def places(holding: Holding) -> list[tuple[Store, Holding]]:
        usual = msgspec.structs.replace(holding, prefix=holding.usual_prefix)
        found: list[tuple[Store, Holding]] = [(near, usual)]
        if holding.kind == "pack":
            found.append((LocalStore(cache), usual))
        else:
            mirrored = next((it for it in (store, near) if it.root is None), None)
            own = msgspec.structs.replace(holding, prefix="")
            found += [(LocalStore(run_folder(mirrored, holding.name, cache)), own)] if mirrored else []
        return [(other, it) for other, it in found if other.url != store.url]

    return places
