"""The bare contender of first_step.py: torch, a model, one step on random tokens; no data at all."""

import torch

from benchmarks.support.one_step import ROWS, SEQ_LEN, VOCABULARY, take_step

if __name__ == "__main__":
    take_step(torch.randint(0, VOCABULARY, (ROWS, SEQ_LEN + 1)), torch.rand(ROWS, SEQ_LEN) < 1 / 1000)
