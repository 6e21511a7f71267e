"""A run with one checkpoint, made without training."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from ten.data.cursor import Cursor
from ten.job import load_job
from ten.model.lm import LanguageModel
from ten.preparation import Preparation
from ten.runs import Run, find_run, keep_tokenizer
from ten.store.local import LocalStore
from ten.text.bpe import train_bpe
from ten.text.tokens import Tokenizer, make_tokenizer
from ten.train.checkpoint import Checkpoints, Position
from ten.train.distributed import World
from ten.train.metrics import MetricsLog, StepMetrics
from ten.train.optim import build_optimizer
from ten.train.run_record import RunRecord, now, write_run
from tests.data.small import make_texts

NAME = "train-tales-nano"
STEP, TOKENS = 7, 4480
SETTINGS = [
    "data.dataset=tales.jsonl", "data.tokenizer=bpe:400", "data.seq_len=64", "model.layers=2", "model.width=16",
    "model.eigenstates=8", "model.mlp_width=32", "model.heads=2",
]  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A byte-level BPE of 400 entries."""
    tree: dict[str, Any] = train_bpe(make_texts(100), 400)
    return make_tokenizer("bpe:400", tree)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty store."""
    return LocalStore(tmp_path / "store")


@pytest.fixture
def run(store: LocalStore, tokenizer: Tokenizer) -> Run:
    """A run whose weights are all away from their special starting values, scored before and after its checkpoint."""
    spec = load_job(None, {}, SETTINGS)
    folder = store.root / "runs" / NAME
    torch.manual_seed(0)
    model = LanguageModel(Preparation(spec).model, tokenizer.vocabulary)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    Checkpoints(
        folder / "checkpoints",
        model=model,
        optimizer=build_optimizer(model, spec.train, set()),
        settings=spec.checkpoint,
        spec={},
        world=World(),
    ).save(Position(step=STEP, cursor=Cursor(fingerprint="f", seed=0, seq_len=64, rows=70, tokens=TOKENS)))
    metrics = MetricsLog(folder / "metrics.jsonl", 0)
    for step, score in ((STEP - 2, 2.5), (STEP, None), (STEP + 1, 1.5)):
        metrics.append(
            StepMetrics(
                step=step,
                tokens=step * 640,
                loss=3.0,
                lr=1e-3,
                grad_norm=1.0,
                tokens_per_s=1.0,
                data_wait_s=0.0,
                rows_sha256="",
                seconds=1.0,
                held_out_bits_per_byte=score,
            )
        )
    keep_tokenizer(folder, tokenizer)
    record = RunRecord(run=NAME, created=now(), spec=msgspec.to_builtins(spec), total_tokens=2 * TOKENS)
    write_run(folder / "run.json", record)
    return find_run(NAME, store)
