"""Transfer: packs and runs moved between stores of any kind, manifest and COMPLETE last."""

from collections.abc import Sequence

from ten.errors import DataError, MissingInput, SpecError
from ten.holdings.companions import companion_key, companions
from ten.holdings.contents import (
    CORPUS,
    MANIFEST,
    RECORD,
    RECORDS,
    TOKENIZER,
    find_checkpoints,
    page_items,
    place,
    read_checkpoint,
    read_manifest,
    shard_items,
    step_of,
    unlisted_shards,
)
from ten.holdings.meter import metered
from ten.holdings.move import Move, Moved
from ten.holdings.naming import Holding
from ten.store.protocol import Store
from ten.train.run_record import decode_run


def transfer(source: Store, target: Store, holdings: Sequence[Holding], *, last: bool = False) -> list[Moved]:
    """Move packs and runs, of these with `last` only the newest checkpoint, into a store.

    What is there with the right size and hash stays; killed at any moment, the next call moves what is missing. Objects
    that are not sound are left out, and with them the manifest or COMPLETE that lists them; they are in the answer.
    Raises SpecError when both stores are one, or when the target has another run of that name; DataError when it has
    one and the source's record is damaged, so that nobody knows; what stores fail with.
    """
    if source.url == target.url:
        raise SpecError(f"{source.url}: is both where from and where to; name another store")
    for holding in holdings:
        if holding.kind == "run":
            _refuse_other_run(source, target, holding)
    total = sum(_size(source, holding, last) for holding in holdings)
    moved = []
    with metered("move", total) as meter:
        for holding in holdings:
            move = Move(source, target, holding, meter)
            if holding.kind == "pack":
                _move_pack(move)
            else:
                _move_run(move, last)
            moved.append(move.ended())
    return moved


def _move_pack(move: Move) -> None:
    source, pack = move.source, move.holding
    manifest = read_manifest(source, pack)
    if manifest is None:
        move.objects(unlisted_shards(source, pack))
        move.notes.append("unfinished: moved as far as it goes; `ten pack` with the same settings completes it")
        return
    whole = move.objects(shard_items(source, pack, manifest)) and move.objects(page_items(manifest))
    move.small(TOKENIZER, CORPUS)
    for key, data in companions(source, pack, manifest):
        move.companion(companion_key(key, move.target), data)
    if whole:
        move.small(MANIFEST)


def _move_run(move: Move, last: bool) -> None:
    source, run = move.source, move.holding
    names = find_checkpoints(source, run)
    further = _newest_step(move.target, move.there)
    if further <= _newest_step(source, run):
        move.small(*RECORDS)
    else:
        move.notes.append(f"{move.target.url} has it up to step {further}; its run.json and metrics stay as they are")
    for name in reversed(names[-1:] if last else names):
        try:
            checkpoint = read_checkpoint(source, run, name)
            move.unseal(checkpoint.seal_name)
        except MissingInput:
            move.note_retired(name)
            continue
        except DataError as error:
            move.damage(error)
            continue
        if move.objects(checkpoint.items, checkpoint):
            move.small(checkpoint.seal_name)
    if not names:
        move.notes.append("no checkpoint is complete yet")


def _size(source: Store, holding: Holding, last: bool) -> int:
    """Bytes of all objects that are to be at the target in the end, but for the small ones."""
    if holding.kind == "pack":
        manifest = read_manifest(source, holding)
        if manifest is None:
            return sum(item.bytes for item in unlisted_shards(source, holding))
        return manifest.bytes + sum(page.bytes for page in manifest.pages)
    names, size = find_checkpoints(source, holding), 0
    for name in names[-1:] if last else names:
        try:
            size += sum(item.bytes for item in read_checkpoint(source, holding, name).items)
        except (DataError, MissingInput):  # said when its turn comes
            continue
    return size


def _newest_step(store: Store, run: Holding) -> int:
    return max((step_of(name) for name in find_checkpoints(store, run)), default=-1)


def _refuse_other_run(source: Store, target: Store, run: Holding) -> None:
    """Raise SpecError where the target's run of that name began at another time, DataError where ours does not say."""
    there = Holding(kind="run", name=run.name, prefix=run.usual_prefix)
    try:
        theirs = _began(target, there)
    except DataError:  # a record that cannot be read is replaced
        return
    ours = _began(source, run) if theirs else None
    if ours and ours != theirs:
        raise SpecError(
            f"{place(target, there, RECORD)}: another run of that name, begun {theirs} and not {ours}; delete it "
            "there, or choose another store"
        )


def _began(store: Store, run: Holding) -> str | None:
    try:
        data = store.read(run.key(RECORD))
    except MissingInput:
        return None
    return decode_run(data, place(store, run, RECORD)).created.isoformat()
