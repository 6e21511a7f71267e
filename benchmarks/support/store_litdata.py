"""A peer of store.py: LitData as its documentation shows it for tokens, `TokensLoader` and a streaming data loader."""

import os
import sys
import time
from functools import partial
from typing import Any

from benchmarks.support.store_tokens import ROWS, SEQ_LEN, say, shard_tokens


def write(folder: str, shards: int, count: int) -> None:
    """Chunks as large as our shards."""
    import litdata  # type: ignore[import-not-found]

    litdata.optimize(
        fn=partial(_tokens, count=count),
        inputs=list(range(shards)),
        output_dir=folder,
        chunk_size=count,
        item_loader=litdata.TokensLoader(),
        num_workers=1,
        verbose=False,
    )


def read(address: str, cache: str, workers: int, *, whole: bool) -> None:
    """The first batch; with `whole` all batches of an epoch."""
    import litdata
    from litdata.streaming import downloader  # type: ignore[import-not-found]

    # the client that it prefers refuses a server without TLS, and no setting reaches it
    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
    began = time.monotonic()
    dataset = litdata.StreamingDataset(
        address,
        cache_dir=cache,
        item_loader=litdata.TokensLoader(block_size=SEQ_LEN + 1),
        shuffle=True,
        storage_options={
            "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
            "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        },
    )
    is_first = True
    for batch in litdata.StreamingDataLoader(dataset, batch_size=ROWS, num_workers=workers):
        batch.long()
        if is_first:
            say("first", began)
            is_first = False
        if not whole:
            return
    say("last", began)


def _tokens(shard: int, count: int) -> Any:
    import torch

    return torch.from_numpy(shard_tokens(shard, count))


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "write":
        write(words[0], int(words[1]), int(words[2]))
    else:
        read(words[0], words[1], int(words[2]), whole=verb == "rows")
