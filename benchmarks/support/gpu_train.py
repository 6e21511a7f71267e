"""gpu.py's sections on real runs: `ten train` in processes of its own, on the text that is on every machine."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.support.gpu_bench import Bench, require_gpu
from benchmarks.support.gpu_report import Cell, NotMeasured

DATA_COLUMNS = ("mode", "preset", "steps", "tokens/s", "waited for data", "of pretok", "target")
FIRST_COLUMNS = ("train.compile", "preset", "first step s", "compiled steps from s", "what the run says")
PRESET, ROWS, STEPS, FIRST_STEP = "small", 4, 40, 5
TARGET = 0.97
_ROOT = Path(__file__).parents[2]
_MANY_STEPS = "100000"
_SETTLED = re.compile(r"(?:a step takes .*|the blocks .*eagerly.*)")


def streaming(bench: Bench) -> Iterator[tuple[Cell, ...]]:
    """Tokens a second from a finished pack, and while packing on the way; the rate of steps 5 to the last."""
    require_gpu(bench)
    from ten.train.metrics import read_metrics

    with tempfile.TemporaryDirectory() as name:
        packed, fresh = Path(name) / "packed", Path(name) / "fresh"
        _run(bench, "pack", packed)
        rates: dict[str, float] = {}
        for mode, store in (("pretok", packed), ("streaming", fresh)):
            words = ("--steps", str(STEPS), "--set", f"mode={mode}", "--set", "train.compile=off")
            _run(bench, "train", store, *_training(), *words)
            (path,) = store.glob("runs/*/metrics.jsonl")
            steps = read_metrics(path)
            first, last = steps[FIRST_STEP - 1], steps[-1]
            rates[mode] = (last.tokens - first.tokens) / (last.seconds - first.seconds)
            waited = sum(step.data_wait_s for step in steps[FIRST_STEP:]) / (last.seconds - first.seconds)
            share = rates[mode] / rates["pretok"]
            met = ("met" if share >= TARGET else "MISSED") if mode == "streaming" else None
            yield (mode, PRESET, STEPS, rates[mode], waited, share, met)


def first_step(bench: Bench) -> Iterator[tuple[Cell, ...]]:
    """From the start of the process to the first line of metrics.jsonl, and to steps that are compiled where that wins.

    The second is the cold one: no compile cache is there. Training goes on eagerly meanwhile.
    """
    require_gpu(bench)
    with tempfile.TemporaryDirectory() as name:
        _run(bench, "pack", Path(name))
        for choice in ("off", "on"):
            words = ("--steps", _MANY_STEPS, "--pretokenized", "--set", f"train.compile={choice}", "--name", choice)
            watched = _Watched(_command("train", Path(name), *_training(), *words), Path(name))
            try:
                first = watched.wait(lambda: watched.has_step(choice), bench.left_s)  # noqa: B023
                settled = watched.wait(lambda: watched.said is not None, bench.left_s) if choice == "on" else None  # noqa: B023
            finally:
                watched.close()
            yield (choice, PRESET, first, settled, watched.said)


@dataclass
class _Watched:
    """A training run whose words and metrics are watched."""

    command: list[str]
    store: Path
    said: str | None = None
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=_environment(self.store)
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := _SETTLED.search(line):
                self.said = found[0]

    def has_step(self, name: str) -> bool:
        """Whether the run of that name has finished one."""
        return any(b"\n" in path.read_bytes() for path in self.store.glob(f"runs/{name}-*/metrics.jsonl"))

    def wait(self, done: Callable[[], bool], patience_s: float) -> float | None:
        """Seconds from the start of the process until it is so; None where patience ends first."""
        until = time.monotonic() + patience_s
        while not done():
            if self.process.poll() is not None:
                raise RuntimeError(_failure(self.command, self.process.returncode, "".join(self.lines)))
            if time.monotonic() > until:
                return None
            time.sleep(0.005)
        return time.monotonic() - self.began

    def close(self) -> None:
        """End it, without a last checkpoint: what it has started ends with it."""
        self.process.kill()
        self.process.wait()


def _training() -> tuple[str, ...]:
    return (
        "--config", PRESET, "--batch-size", str(ROWS), "--set", "checkpoint.every=0",
        "--set", "train.evaluate_tokens=16K", "--set", "train.ranks=1",
    )  # fmt: skip


def _command(verb: str, store: Path, *words: str) -> list[str]:
    common = ["--dataset", "stdlib", "--tokenizer", "gpt2", "--store", str(store)]
    return [sys.executable, "-m", "ten.cli", verb, *common, *words]


def _environment(store: Path) -> dict[str, str]:
    """With this checkout's `ten`, without a `.env` file, and with caches that begin empty."""
    found = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    own = {"TEN_ENV_FILE": os.devnull, "TEN_CACHE_DIR": str(store / "cache"), "PYTHONPATH": found}
    return {name: value for name, value in os.environ.items() if not name.startswith("TEN_")} | own


def _run(bench: Bench, verb: str, store: Path, *words: str) -> None:
    command = _command(verb, store, *words)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=bench.left_s, env=_environment(store))
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"out of time in `ten {verb}`") from None
    if done.returncode:
        raise RuntimeError(_failure(command, done.returncode, done.stderr))


def _failure(command: list[str], code: int, words: str) -> str:
    if missing := re.search(r"No module named '([^']+)'", words):
        raise NotMeasured(f"needs the package {missing[1]}, which is not here")
    last = (words.strip().splitlines() or ["no words"])[-1]
    return f"`ten {' '.join(command[3:5])} …` ended with {code}: {last}"
