"""What the contenders of store.py have in common: the tokens, a function of the shard's number, and how they report."""

import json
import time

import numpy as np
from numpy.typing import NDArray

VOCABULARY = 50257
SEQ_LEN = 512
ROWS = 8


def shard_tokens(shard: int, count: int) -> NDArray[np.uint16]:
    """The tokens of one shard."""
    return np.random.default_rng(shard).integers(0, VOCABULARY, count, dtype=np.uint16)


def say(what: str, began: float) -> None:
    """Report what is reached, now, and when the way to it began, on the clock that processes share."""
    print(json.dumps({"what": what, "at": time.monotonic(), "began": began}), flush=True)
