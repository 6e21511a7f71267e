"""How long a fresh process takes from its start to its first optimizer step, and what it has asked the hub for by then.

Three contenders train the same `nano` model, 8 rows of 512 tokens, on one CPU thread, each time as a new process with
an empty cache:
  bare      imports torch and takes a step on random tokens; the least that any of them needs
  ten       `ten train --dataset finewebedu --streaming`, until the first line of its metrics.jsonl
  datasets  `datasets` streaming (columns=["text"]) and AutoTokenizer, rows cut in Python, the same model and step
The hub is a stand-in on this machine that serves 100 MB Parquet files with groups of 1000 rows; it and the contenders
share the cores. It answers at once, or after 50 ms a request with 25 MB/s a connection. Requests count as they arrive
there, redirects included; bytes are those it had sent, or was about to send, when the step was done. The first round
is not counted. Medians of the others.

Targets: at 50 ms within 1.2 times the bare run (not judged with --quick); at most 8 requests and 6 MB in every run.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.support.web_corpus import write_tokenizer, write_web_parquet
from tests.standins.hub import Hub

RATIO = 1.2
REQUESTS = 8
MEGABYTES = 6.0
POLL_S = 0.002
PATIENCE_S = 180.0
FAST, SLOW = "0 ms", "50 ms, 25 MB/s"
CONDITIONS = {FAST: (0.0, 0), SLOW: (50.0, 25_000_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process."""

    name: str
    condition: str
    seconds: float
    """From its start to the end of its first step."""
    requests: int
    megabytes: float


def run_script(module: str) -> Callable[[Hub, Path], float]:
    """A contender that says on stdout when its step is done; when that was."""

    def run(hub: Hub, folder: Path) -> float:
        process = _start([module], hub, folder)
        assert process.stdout is not None
        deadline = threading.Timer(PATIENCE_S, process.kill)
        deadline.start()
        line = process.stdout.readline()
        done = time.monotonic()
        deadline.cancel()
        _end(process, failed=not line)
        return done

    return run


def run_ten(hub: Hub, folder: Path) -> float:
    """`ten train` in a fresh store, killed when its first step is in its metrics; when that was."""
    store = folder / "store"
    words = ["train", "--config", "nano", "--dataset", "finewebedu", "--streaming", "--steps", "2"]
    settings = ["--set", "train.threads=1", "--set", "train.device=cpu", "--store", str(store)]
    process = _start(["ten.cli", *words, *settings], hub, folder)
    deadline = time.monotonic() + PATIENCE_S
    while not any(b"\n" in path.read_bytes() for path in store.glob("runs/*/metrics.jsonl")):
        if process.poll() is not None or time.monotonic() > deadline:
            _end(process, failed=True)
        time.sleep(POLL_S)
    done = time.monotonic()
    process.kill()
    _end(process, failed=False)
    return done


CONTENDERS = {
    "bare": run_script("benchmarks.support.first_step_bare"),
    "ten": run_ten,
    "datasets": run_script("benchmarks.support.first_step_peer"),
}


def _start(words: list[str], hub: Hub, folder: Path) -> "subprocess.Popen[bytes]":
    environment = hub.environment(folder / "home") | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def _end(process: "subprocess.Popen[bytes]", *, failed: bool) -> None:
    """Wait until the process and its own children, who share its stderr, have ended."""
    if failed:
        process.kill()
    _, errors = process.communicate(timeout=PATIENCE_S)
    if failed:
        sys.exit(f"{process.args!r} took no step:\n{errors.decode()[-4000:]}")


def measure(name: str, condition: str, hub: Hub, root: Path) -> Run:
    """One fresh process of a contender."""
    hub.forget()
    with tempfile.TemporaryDirectory(dir=root) as folder:
        began = time.monotonic()
        done = CONTENDERS[name](hub, Path(folder))
        asked = [entry for entry in hub.log() if entry.started <= done]
    run = Run(
        name=name, condition=condition, seconds=done - began, requests=len(asked),
        megabytes=sum(entry.sent for entry in asked) / 1e6,
    )  # fmt: skip
    print(f"{condition}: {name} {run.seconds:.2f} s, {run.requests} requests", file=sys.stderr)
    return run


def measure_all(rounds: int, root: Path) -> list[Run]:
    """All contenders in turn, so that they meet the same noise, under one condition after the other."""
    print("making the corpus", file=sys.stderr)
    write_web_parquet(root / "hub", files=2, groups=28)
    write_tokenizer(root / "hub")
    runs: list[Run] = []
    with Hub(root / "hub") as hub:
        for condition, (latency_ms, throttle) in CONDITIONS.items():
            hub.set(latency_ms=latency_ms, throttle=throttle)
            for number in range(rounds + (condition == FAST)):
                together = [measure(name, condition, hub, root) for name in CONTENDERS]
                if number or condition != FAST:
                    runs += together
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 5")
    parser.add_argument("--json", action="store_true", help="print one JSON object a run before the table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runs = measure_all(3 if arguments.quick else 5, Path(name))
    for run in runs if arguments.json else ():
        print(msgspec.json.encode(run).decode())
    print(
        f"{'network':<18}{'first step':<12}{'median s':>9}{'best':>7}{'worst':>7}{'× bare':>8}{'requests':>10}{'MB':>7}"
    )
    ratios: dict[tuple[str, str], float] = {}
    for condition in CONDITIONS:
        bare = statistics.median(run.seconds for run in runs if (run.name, run.condition) == ("bare", condition))
        for name in CONTENDERS:
            mine = [run for run in runs if (run.name, run.condition) == (name, condition)]
            seconds = [run.seconds for run in mine]
            ratios[name, condition] = statistics.median(seconds) / bare
            print(
                f"{condition:<18}{name:<12}{statistics.median(seconds):>9.2f}{min(seconds):>7.2f}{max(seconds):>7.2f}"
                f"{ratios[name, condition]:>8.2f}{max(run.requests for run in mine):>10}"
                f"{max(run.megabytes for run in mine):>7.2f}"
            )
    requests = max(run.requests for run in runs if run.name == "ten")
    megabytes = max(run.megabytes for run in runs if run.name == "ten")
    missed = []
    if ratios["ten", SLOW] > RATIO and not arguments.quick:
        missed.append(f"{ratios['ten', SLOW]:.2f} times the bare run, wanted {RATIO}")
    if requests > REQUESTS:
        missed.append(f"{requests} requests, wanted {REQUESTS}")
    if megabytes > MEGABYTES:
        missed.append(f"{megabytes:.1f} MB, wanted {MEGABYTES:.0f}")
    met = "targets met, the ratio's not judged" if arguments.quick else "targets met"
    print(
        f"first_step: at 50 ms a request {ratios['ten', SLOW]:.2f} times the bare run (datasets "
        f"{ratios['datasets', SLOW]:.2f}), at most {requests} requests and {megabytes:.1f} MB: "
        f"{'MISSED ' + '; '.join(missed) if missed else met}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
