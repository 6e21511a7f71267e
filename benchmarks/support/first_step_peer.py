"""The peer of first_step.py: `datasets` streaming and `AutoTokenizer` as their documentation shows them, then a step.

Of its settings the one that matters is taken, `columns=["text"]`: without it the first row costs 37 MB instead of 9.
"""

import os

import datasets
import torch
import transformers

from benchmarks.support.one_step import ROWS, SEQ_LEN, take_step
from benchmarks.support.web_corpus_names import CONFIG, DATASET, TOKENIZER


def first_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of the first batch and where documents start in it."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    documents = datasets.load_dataset(DATASET, CONFIG, split="train", streaming=True, columns=["text"])
    tokens: list[int] = []
    starts: list[bool] = []
    for document in documents:
        ids = tokenizer(document["text"], verbose=False)["input_ids"]
        tokens += [*ids, tokenizer.eos_token_id]
        starts += [True] + [False] * len(ids)
        if len(tokens) > ROWS * SEQ_LEN:
            break
    inputs = torch.tensor(tokens[: ROWS * SEQ_LEN + 1])
    rows = torch.stack([inputs[row * SEQ_LEN : (row + 1) * SEQ_LEN + 1] for row in range(ROWS)])
    return rows, torch.tensor(starts[: ROWS * SEQ_LEN]).view(ROWS, SEQ_LEN)


if __name__ == "__main__":
    torch.set_num_threads(1)
    take_step(*first_rows())
    os._exit(0)  # its Parquet stream aborts or hangs when the interpreter ends in the middle of it
