"""Feeding: the fill policy that a job's mode means for one rank, with its packer process started. No torch."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ten.calls.patience import read_patience
from ten.data.cache import ShardCache
from ten.data.cursor import Cursor
from ten.data.fill import Fill, FollowingFill, PretokFill, StreamingFill
from ten.data.manifest import ShardEntry
from ten.data.pack import Packed, Packers, pack_all
from ten.data.packer import Packer
from ten.data.packer_messages import PackerOrder
from ten.data.packer_start import StartedPacker
from ten.data.recipe import Recipe
from ten.data.room import Room, cache_limit_bytes
from ten.data.savings import tell_saved
from ten.data.settings import DataSettings
from ten.errors import MissingInput
from ten.job import JobSpec, pack_command
from ten.preparation import Preparation
from ten.text.corpus import FOREIGN, Corpus
from ten.text.download import download, is_fetched_whole, local_path, raw_folder
from ten.train.checkpoint_size import checkpoint_bytes
from ten.train.ranks import number
from ten.units import format_bytes, parse_bytes, parse_count

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut
    from ten.data.ray_cluster import RayCluster

log = logging.getLogger(__name__)

_PACKER_PATIENCE_S = 600.0


def open_fill(
    job: Preparation,
    *,
    leads: bool = True,
    estimate: bool = False,
    begin: Cursor | None = None,
    started: StartedPacker | None = None,
) -> Fill:
    """What gives this rank its shards. In the modes that tokenize, the rank that leads its machine packs for all.

    In mode `full` this returns when everything is packed. `estimate` says that `epoch_tokens` will be asked, `begin`
    where reading will most likely begin, so that those shards are packed from now on; `started` a process to pack them.
    """
    if job.spec.mode == "pretok":
        return _open_pretok(job, leads, begin, started)
    cache = job.open_cache(fetched(job) if leads else None)
    if not leads:
        following = FollowingFill(cache)
        if job.spec.mode == "full":  # before the ranks meet, which has a shorter deadline
            following.wait_finished()
        return following
    if job.spec.mode == "full":
        if cache.uploads is not None:
            _room(job, cache)  # a disk too small to train on is refused now, not when all is packed
        pack(job, cache)
        return _open_pretok(job, leads, begin, started)
    job.before_streaming(cache)
    return _begun(job, cache, _order(job, cache.recipe, estimate=estimate), begin, started)


def _begun(
    job: Preparation, cache: ShardCache, order: PackerOrder, begin: Cursor | None, started: StartedPacker | None
) -> StreamingFill:
    """A packer process at work, which ends if anything fails before its fill is handed out."""
    room = _room(job, cache)
    fill = StreamingFill(cache, Packer(order, _patience_s(), started), room, partial(tell_saved, cache))
    with ExitStack() as undo:
        undo.callback(fill.close)
        if order.may_pack and not job.is_packed:
            job.before_packing()
        if begin is not None:
            fill.begin(begin)
        undo.pop_all()
    return fill


def _open_pretok(job: Preparation, leads: bool, begin: Cursor | None, started: StartedPacker | None) -> Fill:
    """Shards of a pack that is made, or being made elsewhere: read where they lie, or pulled ahead from the store."""
    cache, advice = job.open_cache(), pack_command(job.spec)
    if cache.uploads is None:
        return PretokFill(cache, advice)
    if not leads:
        return FollowingFill(cache)
    manifest = job.manifest
    packing = job.reading.packing if manifest is None else None
    if manifest is None and packing is None:
        raise MissingInput(f"the pack {cache.address} does not exist yet; run `{advice}`, or train with --streaming")
    if manifest is None:
        log.info("%s is not finished yet: what another job has packed so far is used, and waited for", cache.address)
    first = cache.pack.entries(manifest).entry(0) if manifest else None
    order = _order(job, cache.recipe, estimate=False, may_pack=False, first=first)
    return _begun(job, cache, order, begin, started)


def begin_packer(spec: JobSpec) -> StartedPacker | None:
    """A packer process for a job that will want one, while it finds out what to pack."""
    is_remote = spec.store.startswith("s3://")
    return StartedPacker(spec.store) if spec.mode == "streaming" or (spec.mode == "pretok" and is_remote) else None


def fetched(job: Preparation) -> Recipe:
    """The job's recipe; of a hub dataset with its files on this disk where the job keeps them or must have them whole.

    Nothing is fetched for a pack that is finished.
    """
    recipe = job.recipe
    corpus = recipe.corpus
    keep = job.spec.mode == "full" or job.spec.data.keep_files
    if not is_fetched_whole(corpus, keep=keep) or job.is_packed:
        return recipe
    from ten.hub.transport import shared_transport

    if job.spec.mode == "streaming" and not keep:
        _tell_download(corpus, job.cache_dir)
    here = download(corpus, job.cache_dir, shared_transport())
    where = raw_folder(corpus, job.cache_dir)
    log.info("%s: the raw files lie in %s; they may be deleted once all of it is packed", corpus.dataset, where)
    return msgspec.structs.replace(recipe, corpus=here)


def _tell_download(corpus: Corpus, folder: Path) -> None:
    """Say why a job that streams downloads."""
    missing = [file for file in corpus.files if not local_path(file, folder).is_file()]
    if missing:
        form = next(file.format for file in corpus.files if file.format in FOREIGN)
        size, where = format_bytes(sum(file.bytes for file in missing)), raw_folder(corpus, folder)
        log.info(
            "%s: %s files can only be read whole: %s are downloaded first, to %s", corpus.dataset, form, size, where
        )


def epoch_tokens(job: Preparation, fill: Fill) -> int:
    """Estimated training tokens in an epoch, from whoever reads the start of the corpus in any case."""
    if job.packed_epoch_tokens is None and isinstance(fill, StreamingFill):
        return fill.packer.epoch_tokens()
    return job.epoch_tokens


def _patience_s() -> float:
    """How long a packer may say nothing: more than it may itself wait for the hub."""
    return max(_PACKER_PATIENCE_S, 2 * read_patience().total_s)


def open_held_out(job: Preparation, fill: Fill) -> "HeldOut":
    """The held-out documents of a job's dataset, up to `train.evaluate_tokens`."""
    from ten.data.held_out import HeldOut

    return HeldOut(
        job.recipe,
        fill,
        seq_len=job.seq_len,
        rows=job.spec.train.micro_batch_rows,
        max_tokens=parse_count(job.spec.train.evaluate_tokens),
        reset_carry=job.spec.data.reset_carry,
    )


def pack(
    job: Preparation, cache: ShardCache | None = None, *, force: bool = False, on: "RayCluster | None" = None
) -> Packed:
    """Pack all of a job's units, here or `on` a cluster, and publish the manifest."""
    data = job.spec.data
    cache = cache or job.open_cache(fetched(job))
    limit = parse_bytes(data.cache_limit) if data.cache_limit is not None else None
    job.before_packing()
    with _packers(on, cache, data) as packers:
        packed = pack_all(
            cache,
            threads=data.pack_threads,
            engine=data.engine,
            batch_rows=data.batch_size,
            force=force,
            limit=cache_limit_bytes(cache.folder, limit, 0),
            packers=packers,
        )
    job.after_packing(packed.manifest)
    return packed


@contextmanager
def _packers(on: "RayCluster | None", cache: ShardCache, data: DataSettings) -> Iterator[Packers | None]:
    """Who packs in place of this process's threads."""
    if on is None:
        yield None
        return
    from ten.data.pack_on_ray import packing_on_ray

    with packing_on_ray(on, cache, data.engine, data.batch_size) as packers:
        yield packers


def _room(job: Preparation, cache: ShardCache) -> Room:
    """What of the pack may lie on this disk beside the run's checkpoints."""
    data, limit = job.spec.data, None
    if data.cache_limit is not None:
        limit = parse_bytes(data.cache_limit)
    checkpoint = checkpoint_bytes(job.model, job.tokenizer.vocabulary, job.spec.train)
    kept = job.spec.checkpoint.keep_last + 1  # one more is being written
    return Room(cache, cache_limit_bytes(cache.folder, limit, checkpoint * kept))


def _order(
    job: Preparation, recipe: Recipe, *, estimate: bool, may_pack: bool = True, first: ShardEntry | None = None
) -> PackerOrder:
    data = job.spec.data
    folder: Path | None = job.shard_folder
    return PackerOrder(
        recipe=recipe,
        store=job.store.url,
        cache_dir=str(folder) if folder is not None else None,
        threads=data.pack_threads,
        engine=data.engine,
        batch_rows=data.batch_size,
        estimate=estimate and job.packed_epoch_tokens is None,
        # other ranks read whole shards only
        slow_start=may_pack and job.corpus.is_pinned and number("WORLD_SIZE", 1) == 1,
        may_pack=may_pack,
        advice=pack_command(job.spec),
        first=first,
    )
