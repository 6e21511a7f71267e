"""The peer of stream.py: `datasets` streaming, its setting named on the command line."""

import json
import os
import sys
import time
from collections.abc import Iterator

import pyarrow.dataset  # noqa: F401 - imports are not counted; load_dataset would import these two
import torch  # noqa: F401
from datasets import load_dataset

from benchmarks.support.web_corpus_names import CONFIG, DATASET

BATCH_ROWS = 1000


def texts(setting: str) -> Iterator[str]:
    """Every text, by one of the ways that the documentation shows."""
    stream = load_dataset(DATASET, CONFIG, split="train", streaming=True, columns=["text"])
    if setting == "rows":
        for row in stream:
            yield row["text"]
    elif setting == "batches":
        for batch in stream.iter(BATCH_ROWS):
            yield from batch["text"]
    else:
        for table in stream.with_format("arrow").iter(BATCH_ROWS):
            yield from table["text"].to_pylist()


def read(setting: str) -> dict[str, float]:
    """Rows, bytes of their texts, and when the last was there, as seconds of the clock that processes share."""
    rows = size = 0
    for text in texts(setting):
        rows += 1
        size += len(text.encode())
    return {"rows": rows, "bytes": size, "done": time.monotonic()}


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1])), flush=True)
    os._exit(0)  # its Parquet stream may abort or hang when the interpreter ends
