"""A run's folder that grows as a run does."""

import json
from pathlib import Path

import pytest

from ten.train.metrics import MetricsLog, StepMetrics
from ten.train.run_record import RunRecord, now, write_run


def line(step: int, loss: float = 2.0, held_out: float | None = None) -> StepMetrics:
    return StepMetrics(
        step=step, tokens=step * 100, loss=loss, lr=0.1, grad_norm=1.0, tokens_per_s=50.0, data_wait_s=0.0,
        rows_sha256="ab", seconds=step * 0.5, held_out_bits_per_byte=held_out,
    )  # fmt: skip


class GrowingRun:
    """A run whose metrics are written as training writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = folder / "metrics.jsonl"
        self.log = MetricsLog(self.metrics, 0)
        write_run(folder / "run.json", RunRecord(run=folder.name, created=now(), spec={"seed": 1}, total_tokens=1000))

    def add(self, *steps: int, loss: float = 2.0) -> None:
        """Train these steps."""
        for step in steps:
            self.log.append(line(step, loss))

    def resume(self, step: int) -> None:
        """Begin an attempt that goes on behind a step: later lines go."""
        self.log = MetricsLog(self.metrics, step)

    def position(self, sink: str) -> object:
        """Where a sink stands."""
        return json.loads((self.folder / sink / "position.json").read_text())["step"]


@pytest.fixture
def run(tmp_path: Path) -> GrowingRun:
    return GrowingRun(tmp_path / "runs" / "tale")
