"""Our contender of stream.py: a dataset's texts from the hub as the packer reads them."""

import json
import sys
import time

import pyarrow.parquet  # noqa: F401 - imports are not counted

from benchmarks.support.web_corpus_names import CONFIG, DATASET
from ten.text.documents import read_documents
from ten.text.opening import open_corpus


def read() -> dict[str, float]:
    """Rows, bytes of their texts, and when the last was there, as seconds of the clock that processes share."""
    rows = size = 0
    corpus = open_corpus(f"{DATASET}:{CONFIG}")
    for file in corpus.files:
        for text in read_documents(file, column=corpus.text_column):
            rows += 1
            size += len((text or "").encode())
    return {"rows": rows, "bytes": size, "done": time.monotonic()}


if __name__ == "__main__":
    json.dump(read(), sys.stdout)
