"""A peer of store.py: MosaicML streaming as its documentation shows it, rows of tokens baked as arrays of uint16."""

import sys
import time
import warnings

from benchmarks.support.store_tokens import ROWS, SEQ_LEN, say, shard_tokens

COLUMNS = {"tokens": f"ndarray:uint16:{SEQ_LEN + 1}"}


def prepare() -> None:
    """Let torchvision be imported though its library is not of this torch: `streaming` imports it, and we use none."""
    import torch

    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def write(folder: str, shards: int, count: int) -> None:
    """Shards as large as ours; rows cut as ours."""
    prepare()
    from streaming import MDSWriter  # type: ignore[import-not-found]

    with MDSWriter(out=folder, columns=COLUMNS, size_limit=2 * count) as out:
        for shard in range(shards):
            tokens = shard_tokens(shard, count)
            for row in range((count - 1) // SEQ_LEN):
                out.write({"tokens": tokens[row * SEQ_LEN : (row + 1) * SEQ_LEN + 1]})


def read(address: str, cache: str, workers: int, *, whole: bool) -> None:
    """The first batch; with `whole` all batches of an epoch."""
    prepare()
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")
    import torch
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    began = time.monotonic()
    dataset = StreamingDataset(remote=address, local=cache, shuffle=True, batch_size=ROWS)
    is_first = True
    for batch in DataLoader(dataset, batch_size=ROWS, num_workers=workers):
        batch["tokens"].to(torch.int64)
        if is_first:
            say("first", began)
            is_first = False
        if not whole:
            return
    say("last", began)


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "write":
        write(words[0], int(words[1]), int(words[2]))
    else:
        read(words[0], words[1], int(words[2]), whole=verb == "rows")
