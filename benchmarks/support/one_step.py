"""One step: a nano model, AdamW and one update, as both `first_step_*` contenders beside ours take it."""

import os

import torch

from ten.model.lm import LanguageModel
from ten.model.presets import ModelSettings, default_seq_len, resolve
from ten.train.optim import build_optimizer
from ten.train.settings import TrainSettings

PRESET = "nano"
ROWS = TrainSettings().micro_batch_rows
SEQ_LEN = default_seq_len(PRESET)
VOCABULARY = 50257
_LEARNING_RATE = 1e-3


def take_step(tokens: torch.Tensor, starts: torch.Tensor) -> None:
    """Build the model, take a step on tokens (ROWS, SEQ_LEN + 1) and starts (ROWS, SEQ_LEN), and say so on stdout."""
    torch.set_num_threads(1)
    model = LanguageModel(resolve(ModelSettings(config=PRESET)), VOCABULARY)
    settings = TrainSettings(learning_rate=_LEARNING_RATE)
    optimizer = build_optimizer(model, settings, model.no_decay_names())
    loss = model.loss(tokens, starts) / starts.numel()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    os.write(1, f"{loss.item():.3f}\n".encode())
