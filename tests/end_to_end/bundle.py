"""The command line as real processes over one store."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ten.train.metrics import StepMetrics, read_metrics

TINY = [
    "--set", "model.layers=1", "--set", "model.width=32", "--set", "model.eigenstates=8", "--set", "model.mlp_width=64",
    "--set", "train.threads=1", "--set", "train.ranks=1",
]  # fmt: skip
"""A model that costs nothing, for tests about data."""


class Bundle:
    """The command line over one store."""

    def __init__(self, store: Path, corpus: Path, tokenizer: Path) -> None:
        self.store, self.corpus = store, corpus
        self._common = ["--store", str(store), "--dataset", str(corpus), "--tokenizer", str(tokenizer)]

    def command(self, verb: str, *words: str) -> list[str]:
        """The words of a process that runs a job verb."""
        return [sys.executable, "-m", "ten.cli", verb, *self._common, *words]

    def run(self, verb: str, *words: str, code: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a job verb to its end, and hold its exit code to what is expected."""
        done = subprocess.run(
            self.command(verb, *words), capture_output=True, text=True, env={**os.environ, **environment}, check=False
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done

    def verify(self, code: int) -> str:
        """What `ten verify --json` says of the store."""
        command = [sys.executable, "-m", "ten.cli", "verify", str(self.store), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout

    def train(self, *words: str, code: int = 0) -> list[StepMetrics]:
        """Train the tiny model for 14 steps that cross three eras; the metrics."""
        self.run("train", *self.training(*words), code=code)
        return self.metrics()

    def training(self, *words: str) -> list[str]:
        """The words of the standard training of these tests."""
        return [
            *TINY, "--seq-len", "1024", "--batch-size", "8", "--steps", "14", "--set", "train.evaluate_tokens=4K",
            "--set", "checkpoint.every=3", *words,
        ]  # fmt: skip

    def metrics(self) -> list[StepMetrics]:
        """The one run's metrics."""
        (path,) = (self.store / "runs").glob("*/metrics.jsonl")
        return read_metrics(path)

    def train_and_kill(self, step: int, *words: str, by: signal.Signals = signal.SIGKILL) -> int:
        """Train until the metrics have `step`, send the signal; the exit code."""
        process = subprocess.Popen(
            self.command("train", *self.training(*words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if any(line.step >= step for line in self.metrics_so_far()):
                process.send_signal(by)
                break
            time.sleep(0.002)
        return process.wait(60)

    def metrics_so_far(self) -> list[StepMetrics]:
        """Those of a training on its way; none before its first step."""
        return [line for path in (self.store / "runs").glob("*/metrics.jsonl") for line in read_metrics(path)]
