"""Our contender of store.py: the way of `ten train --pretokenized` to its rows and to the whole pack."""

import importlib
import os
import sys
import time
from itertools import islice

import numpy as np

from benchmarks.support.store_pack import pack_job
from benchmarks.support.store_tokens import ROWS, SEQ_LEN, say
from ten.data.cursor import Cursor
from ten.data.fill import StreamingFill
from ten.data.reader import read_rows
from ten.data.rows import row_count
from ten.feeding import begin_packer, open_fill
from ten.preparation import Preparation


def read(store: str, *, whole: bool) -> None:
    """The first batch; with `whole` all batches of an epoch, everything imported beforehand as peers have it."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if whole:
        importlib.import_module("ten.data.loader")
    began, spec = time.monotonic(), pack_job(store)
    started, job = begin_packer(spec), Preparation(spec)
    cursor = Cursor(fingerprint=job.recipe.fingerprint, seed=0, seq_len=SEQ_LEN)
    fill = open_fill(job, begin=cursor, started=started)
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


def arrays(store: str) -> None:
    """The first batch as an int64 array, without torch: what the packer process and the reader take by themselves."""
    began, spec = time.monotonic(), pack_job(store)
    started, job = begin_packer(spec), Preparation(spec)
    cursor = Cursor(fingerprint=job.recipe.fingerprint, seed=0, seq_len=SEQ_LEN)
    fill = open_fill(job, begin=cursor, started=started)
    np.stack([row.tokens for row in islice(read_rows(job.recipe, fill, cursor), ROWS)]).astype(np.int64)
    say("first", began)
    fill.close()


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
    elif sys.argv[1] == "arrays":
        arrays(sys.argv[2])
    else:
        read(sys.argv[2], whole=sys.argv[1] == "rows")
