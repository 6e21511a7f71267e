"""Our contender of store.py: the way of `ten train --pretokenized` to its rows and to the whole pack."""

import importlib
import os
import sys
import time

from benchmarks.support.store_pack import pack_job
from benchmarks.support.store_tokens import ROWS, SEQ_LEN, say
from ten.data.cursor import Cursor
from ten.data.fill import StreamingFill
from ten.data.rows import row_count
from ten.feeding import open_fill
from ten.preparation import Preparation


def read(store: str, *, whole: bool) -> None:
    """The first batch; with `whole` all batches of an epoch, everything imported beforehand as peers have it."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if whole:
        importlib.import_module("ten.data.loader")
    began = time.monotonic()
    job = Preparation(pack_job(store))
    cursor = Cursor(fingerprint=job.recipe.fingerprint, seed=0, seq_len=SEQ_LEN)
    fill = open_fill(job, begin=cursor)
    from ten.data.loader import BatchShape, Loader

    loader = Loader(job.recipe, fill, cursor, BatchShape(micro_batch_rows=ROWS, micro_batches=1))
    next(loader)
    say("first", began)
    if whole:
        assert job.manifest is not None, "the pack is finished"
        batches = sum(row_count(shard.tokens, SEQ_LEN) for shard in job.manifest.shards) // ROWS
        for _ in range(batches - 1):
            next(loader)
        say("last", began)
    loader.close()


def pull(store: str) -> None:
    """All shards but the first, which wakes the packer process: on this disk, verified."""
    job = Preparation(pack_job(store))
    fill = open_fill(job)
    assert isinstance(fill, StreamingFill), "an object store's shards are pulled"
    units = range(len(job.recipe.units))
    fill.shard(units[0])
    began = time.monotonic()
    for unit in units:
        fill.packer.request(unit)
    for unit in units:
        fill.packer.wait_done(unit)
    say("last", began)
    fill.close()


if __name__ == "__main__":
    if sys.argv[1] == "pull":
        pull(sys.argv[2])
    else:
        read(sys.argv[2], whole=sys.argv[1] == "rows")
