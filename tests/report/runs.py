"""Folders of runs, made up: as long as wanted, with a restart, a killed attempt, spikes, samples and a checkpoint."""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from safetensors.numpy import save_file

from ten.train.machine import Machine
from ten.train.run_record import RunRecord, write_run

T = 1000
SECONDS = 2.0
BEGUN = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)
MACHINE = Machine(cpu="A processor", cores=8, memory_bytes=2**35, driver="580.1", image="ten:cuda", revision="abc")


def make_run(folder: Path, *, steps: int = 300, price: float | None = 3.6, layers: int = 3, seed: int = 0) -> Path:
    """A run of three attempts: stopped by a signal after a third, killed after two thirds, finished."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            file.write(json.dumps(_line(step, steps, chance)) + "\n")
    spec = {"data": {"dataset": "tales"}, "model": {"config": "nano", "selective": True}, "train": {"seed": seed}}
    record = RunRecord(run=folder.name, created=BEGUN, spec=spec, total_tokens=steps * T)
    for number, step in enumerate((0, steps // 3, 2 * steps // 3)):
        record = record.begin(
            device="NVIDIA L40S", mode="streaming", world_size=1, from_step=step, price_per_hour=price,
            started=BEGUN + timedelta(seconds=SECONDS * step + 100 * number), from_tokens=step * T,
            machine=MACHINE,
        )  # fmt: skip
        to = (steps // 3, 2 * steps // 3, steps)[number]
        over = BEGUN + timedelta(seconds=SECONDS * to + 100 * number + 50)
        end = {"to_step": to, "ended": over, "reason": "stopped by SIGTERM" if number == 0 else "finished"}
        last = msgspec.structs.replace(record.attempts[-1], seen=over, to_tokens=to * T, **({} if number == 1 else end))
        record = record._with(*record.attempts[:-1], last)
    write_run(folder / "run.json", record)
    if layers:
        _checkpoint(folder / "checkpoints" / f"step-{steps:08d}", layers, seed)
    samples = [{"step": s, "tokens": s * T, "prompt": "Once", "text": f" upon a time {s}"} for s in (steps // 2, steps)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return folder


def _line(step: int, steps: int, chance: random.Random) -> dict[str, object]:
    loss = 3.0 + 5.0 * math.exp(-step / (0.05 * steps)) + 0.05 * chance.gauss(0, 1)
    line: dict[str, object] = {
        "step": step, "tokens": step * T, "loss": loss, "lr": 1e-3, "grad_norm": math.exp(0.2 * chance.gauss(0, 1)),
        "tokens_per_s": T / SECONDS, "data_wait_s": 0.01, "rows_sha256": "ab" * 32, "seconds": step * SECONDS,
        "mfu": 0.4,
    }  # fmt: skip
    if step % max(1, steps // 10) == 0:
        line["held_out_bits_per_byte"] = loss / 3
        line["held_out_by_context"] = [
            {"begin": begin, "end": end, "tokens": 100, "bits_per_token": loss + 8 / end}
            for begin, end in pairwise((0, 4, 8, 16, 32, 64, 128, 256, 512))
        ]
    if step == steps // 2:
        line["skipped"] = "loss 9.1, above 4.2"
    return line


def _checkpoint(folder: Path, layers: int, seed: int) -> None:
    """Weights with eigenvalues alone: K = 6 states, width 5; each layer remembers twice as long as the one before."""
    folder.mkdir(parents=True)
    tensors = {}
    for layer in range(layers):
        own = f"blocks.{layer}.mixer."
        memory = 2.0**layer * np.array([1.5, 3.0, 10.0, 30.0, 100.0, 1000.0])
        tensors[own + "log_memory"] = np.log(memory).astype(np.float32)
        tensors[own + "phase"] = np.linspace(0, 2 * np.pi, 6, endpoint=False).astype(np.float32)
        bias = np.zeros(2 * 6 + 5 + 6 + 6, dtype=np.float32)
        bias[17:23] = -math.log(7.0)  # 8 σ(bias) = 1
        tensors[own + "projection.bias"] = bias
        tensors[own + "output.projection.weight"] = np.zeros((5, 12), dtype=np.float32)
    save_file(tensors, folder / "model.safetensors")
    (folder / "COMPLETE").write_text("{}")
