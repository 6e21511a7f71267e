"""The floor of store.py's first batch: a process that imports torch and has a tensor."""

import time

from benchmarks.support.store_tokens import ROWS, SEQ_LEN, say

if __name__ == "__main__":
    import torch

    began = time.monotonic()
    torch.zeros(ROWS, SEQ_LEN + 1, dtype=torch.int64)
    say("first", began)
