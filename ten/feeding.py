"""Feeding: the fill policy that a job's mode means for one rank, with its packer process started. No torch."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ten.data.cache import ShardCache
from ten.data.fill import Fill, FollowingFill, PretokFill, StreamingFill
from ten.data.pack import Packed, pack_all
from ten.data.packer import Packer, PackerOrder
from ten.data.settings import DataSettings
from ten.preparation import Preparation
from ten.units import parse_count

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut


def open_fill(job: Preparation, *, leads: bool = True) -> Fill:
    """What gives this rank its shards. In the modes that tokenize, the rank that leads its machine packs for all.

    In mode `full` this returns when everything is packed.
    """
    cache = job.open_cache()
    if job.spec.mode == "pretok":
        return PretokFill(cache, pack_command(job))
    if not leads:
        following = FollowingFill(cache)
        if job.spec.mode == "full":  # before the ranks meet, which has a shorter deadline
            following.wait_finished()
        return following
    if job.spec.mode == "full":
        pack(job, cache)
        return PretokFill(cache, pack_command(job))
    return StreamingFill(cache, Packer(_order(job)))


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
        cache or job.open_cache(),
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


def _order(job: Preparation) -> PackerOrder:
    data = job.spec.data
    folder: Path | None = job.shard_folder
    return PackerOrder(
        recipe=job.recipe,
        store=job.store.url,
        cache_dir=str(folder) if folder is not None else None,
        threads=data.pack_threads,
        engine=data.engine,
        batch_rows=data.batch_size,
    )
