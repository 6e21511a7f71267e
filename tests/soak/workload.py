"""The job that a soak runs again and again: a small corpus, a tiny model, and what an undisturbed run of it gives."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ten.errors import DataError
from ten.text.bpe import train_bpe
from ten.train.checkpoint_files import find_newest
from ten.train.metrics import StepMetrics, read_metrics
from tests.end_to_end.bundle import TINY

RUN = "soak"
_WEIGHTS = ("model.safetensors", "optimizer.safetensors")


@dataclass(frozen=True)
class Outcome:
    """What must be the same whatever happened on the way."""

    rows: tuple[str, ...]
    """rows_sha256 of each step."""
    losses: tuple[tuple[float, float, float | None], ...]
    """Loss, gradient norm and held-out bits per byte of each step."""
    weights: tuple[bytes, ...]
    """The last checkpoint's model and optimizer."""

    def difference(self, other: "Outcome") -> str | None:
        """What is not the same, in words."""
        if len(self.rows) != len(other.rows):
            return f"{len(other.rows)} steps instead of {len(self.rows)}"
        for name in ("rows", "losses"):
            pairs = zip(getattr(self, name), getattr(other, name), strict=True)
            if (step := next((at for at, (one, two) in enumerate(pairs, 1) if one != two), None)) is not None:
                return f"other {name} from step {step} on"
        if self.weights != other.weights:
            return "other weights or moments in the end"
        return None


class Workload:
    """Corpus and tokenizer in a folder, and the words of commands about them."""

    def __init__(self, folder: Path, steps: int) -> None:
        texts, size = [], 0
        for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
            texts.append(path.read_text(encoding="utf-8"))
            size += len(texts[-1])
            if size > 2 * 2**20:
                break
        folder.mkdir(parents=True)
        self.steps = steps
        self._corpus, self._tokenizer = folder / "sources.jsonl", folder / "tokenizer.json"
        self._corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        self._tokenizer.write_text(json.dumps(train_bpe(texts[:20], 600)), encoding="utf-8")

    def command(self, verb: str, store: str, mode: str = "streaming") -> list[str]:
        """`ten pack`, or the training."""
        common = ["--store", store, "--dataset", str(self._corpus), "--tokenizer", str(self._tokenizer)]
        if verb == "pack":
            return [*TEN, "pack", *common, "--set", "data.seq_len=512"]
        return [
            *TEN, "train", *common, *TINY, "--set", f"mode={mode}", "--set", f"run={RUN}", "--seq-len", "512",
            "--batch-size", "4", "--steps", str(self.steps), "--set", "train.evaluate_tokens=4K",
            "--set", "checkpoint.every=5", "--set", "checkpoint.keep_last=3",
        ]  # fmt: skip

    def undisturbed(self, folder: Path, environment: Mapping[str, str]) -> Outcome:
        """What the training gives when it is left alone, over the folder."""
        done = subprocess.run(
            self.command("train", str(folder)), env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the undisturbed run ended with {done.returncode}: {done.stderr}")
        return outcome(folder / "runs" / RUN)


TEN = (sys.executable, "-m", "ten.cli")


def outcome(run: Path) -> Outcome:
    """What a finished run's folder holds."""
    lines = read_metrics(run / "metrics.jsonl")
    if [line.step for line in lines] != list(range(1, len(lines) + 1)):
        raise DataError(f"{run}: the metrics have the steps {[line.step for line in lines]}")
    newest = find_newest(run / "checkpoints")
    if newest is None or not newest.name.endswith(f"{len(lines):08d}"):
        raise DataError(f"{run}: the newest checkpoint is {newest}, and the metrics end with step {len(lines)}")
    return Outcome(
        rows=tuple(line.rows_sha256 for line in lines),
        losses=tuple(map(_measured, lines)),
        weights=tuple((newest / name).read_bytes() for name in _WEIGHTS),
    )


def _measured(line: StepMetrics) -> tuple[float, float, float | None]:
    return line.loss, line.grad_norm, line.held_out_bits_per_byte
