"""Feeding: the fill policy that a job's mode means for one rank, with its packer process started. No torch."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ten.data.cache import ShardCache
from ten.data.cursor import Cursor
from ten.data.fill import Fill, FollowingFill, PretokFill, StreamingFill
from ten.data.pack import Packed, pack_all
from ten.data.packer import Packer
from ten.data.packer_messages import PackerOrder
from ten.data.recipe import Recipe
from ten.data.room import Room, cache_limit_bytes
from ten.data.settings import DataSettings
from ten.hub.patience import read_patience
from ten.model.cost import CHECKPOINT_BYTES_PER_WEIGHT, parameters
from ten.preparation import Preparation
from ten.text.corpus import FOREIGN
from ten.train.ranks import number
from ten.units import parse_bytes, parse_count

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut


_PACKER_PATIENCE_S = 600.0


def open_fill(job: Preparation, *, leads: bool = True, estimate: bool = False, begin: Cursor | None = None) -> Fill:
    """What gives this rank its shards. In the modes that tokenize, the rank that leads its machine packs for all.

    In mode `full` this returns when everything is packed. `estimate` says that `epoch_tokens` will be asked, `begin`
    where reading will most likely begin, so that those shards are packed from now on.
    """
    if job.spec.mode == "pretok":
        return PretokFill(job.open_cache(), pack_command(job))
    cache = job.open_cache(fetched(job) if leads else None)
    if not leads:
        following = FollowingFill(cache)
        if job.spec.mode == "full":  # before the ranks meet, which has a shorter deadline
            following.wait_finished()
        return following
    if job.spec.mode == "full":
        pack(job, cache)
        return PretokFill(cache, pack_command(job))
    room = _room(job, cache)
    fill = StreamingFill(cache, Packer(_order(job, cache.recipe, estimate), _patience_s()), room)
    if begin is not None:
        fill.begin(begin)
    return fill


def fetched(job: Preparation) -> Recipe:
    """The job's recipe; of a hub dataset with its files on this disk where the job keeps them or must have them whole.

    Nothing is fetched for a pack that is finished.
    """
    recipe = job.recipe
    corpus = recipe.corpus
    whole = any(file.format in FOREIGN for file in corpus.files)
    if not corpus.is_pinned or not (whole or job.spec.mode == "full" or job.spec.data.keep_files):
        return recipe
    if job.is_packed:
        return recipe
    from ten.hub.transport import shared_transport
    from ten.text.download import download

    return msgspec.structs.replace(recipe, corpus=download(corpus, job.cache_dir, shared_transport()))


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


def pack(job: Preparation, cache: ShardCache | None = None, *, force: bool = False) -> Packed:
    """Pack all of a job's units and publish the manifest."""
    data = job.spec.data
    return pack_all(
        cache or job.open_cache(fetched(job)),
        threads=data.pack_threads,
        engine=data.engine,
        batch_rows=data.batch_size,
        force=force,
    )


def pack_command(job: Preparation) -> str:
    """The command line that packs what a job reads."""
    defaults = msgspec.to_builtins(DataSettings())
    given = {
        f"data.{name}": value
        for name, value in msgspec.to_builtins(job.spec.data).items()
        if value != defaults[name] and name != "seed"
    }
    given["store"] = job.spec.store
    return " ".join(["ten pack", *(f"--set {name}={_quoted(value)}" for name, value in given.items())])


def _quoted(value: object) -> str:
    text = str(value)
    return f"'{text}'" if set(text) & set(" *?[]$;&'\"") else text


def _room(job: Preparation, cache: ShardCache) -> Room:
    """What of the pack may lie on this disk beside the run's checkpoints."""
    data, limit = job.spec.data, None
    if data.cache_limit is not None:
        limit = parse_bytes(data.cache_limit)
    checkpoint = parameters(job.model, job.tokenizer.vocabulary) * CHECKPOINT_BYTES_PER_WEIGHT
    kept = job.spec.checkpoint.keep_last + 1  # one more is being written
    return Room(cache, cache_limit_bytes(cache.folder, limit, checkpoint * kept))


def _order(job: Preparation, recipe: Recipe, estimate: bool) -> PackerOrder:
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
        slow_start=job.corpus.is_pinned and number("WORLD_SIZE", 1) == 1,  # other ranks read whole shards only
    )
