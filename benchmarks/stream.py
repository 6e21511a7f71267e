"""How fast text streams from the hub, beside `datasets`, and what streaming costs a training run.

First half: MB of text a second from a Parquet file at the hub to Python strings, counted as UTF-8 bytes, from the
first request to the last row; imports do not count. Every figure is that of fresh processes, taken in turn. Ours reads
as the packer does, through the listing and with 4 ranges ahead; `datasets` streams columns=["text"] by rows, by batches
of 1000 and as Arrow tables, and the best of the three is what is compared. The hub is a stand-in on the same machine
and the same cores: as fast as it can (loopback), after 50 ms a request, at 25 MB/s a connection, and both.

Second half: tokens a second of `nano` on one CPU thread, a model that computes longer than its data takes, from step 3
to the last, with --streaming at 50 ms a request and 25 MB/s a connection and with --pretokenized after `ten pack`.
Waits for data and the packer's share of the machine are in it.

Targets: at least twice `datasets` on all networks but loopback; streaming at least 0.97 of pretokenized. With --quick
neither is judged.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.support.web_corpus import write_web_parquet
from ten.train.metrics import read_metrics
from tests.standins.hub import Hub

TIMES_DATASETS = 2.0
OF_PRETOKENIZED = 0.97
BOTH = "50 ms, 25 MB/s"
NETWORKS = {"loopback": (0.0, 0), "50 ms": (50.0, 0), "25 MB/s": (0.0, 25_000_000), BOTH: (50.0, 25_000_000)}
OURS = "ten"
READERS = {
    OURS: ["benchmarks.support.stream_ours"],
    **{setting: ["benchmarks.support.stream_peer", setting] for setting in ("rows", "batches", "arrow")},
}
FIRST_STEP = 3
PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    groups: int
    rounds: int
    steps: int
    repetitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One process that read all texts."""

    network: str
    reader: str
    text_mb: float
    seconds: float
    requests: int

    @property
    def rate(self) -> float:
        """MB of text a second."""
        return self.text_mb / self.seconds


def run(words: list[str], hub: Hub, folder: Path) -> str:
    """What a process printed."""
    environment = hub.environment(folder / "home") | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, env=environment, timeout=PATIENCE_S
    )
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed with exit code {process.returncode}:\n{process.stderr[-4000:]}")
    return process.stdout


def read(reader: str, network: str, text_bytes: int, hub: Hub, root: Path) -> Reading:
    """One fresh process of a reader."""
    hub.forget()
    with tempfile.TemporaryDirectory(dir=root) as folder:
        said = json.loads(run(READERS[reader], hub, Path(folder)))
    if said["bytes"] != text_bytes:
        sys.exit(f"{reader} read {said['bytes']} bytes of text, and there are {text_bytes}")
    log = hub.log()
    seconds = said["done"] - min(entry.started for entry in log)
    reading = Reading(network=network, reader=reader, text_mb=text_bytes / 1e6, seconds=seconds, requests=len(log))
    print(f"{network}: {reader} {reading.rate:.0f} MB/s, {len(log)} requests", file=sys.stderr)
    return reading


def read_all(hub: Hub, root: Path, text_bytes: int, rounds: int) -> list[Reading]:
    """Every reader in turn on every network."""
    readings: list[Reading] = []
    read(OURS, "warm-up", text_bytes, hub, root)
    for network, (latency_ms, throttle) in NETWORKS.items():
        hub.set(latency_ms=latency_ms, throttle=throttle)
        readings += [read(reader, network, text_bytes, hub, root) for _ in range(rounds) for reader in READERS]
    return readings


def train(mode: str, hub: Hub, store: Path, steps: int) -> float:
    """Tokens a second of a fresh run."""
    name = f"{mode}-{len(list(store.glob('runs/*')))}"
    words = ["train", "--config", "nano", "--dataset", "finewebedu", f"--{mode}", "--steps", str(steps)]
    words += ["--store", str(store), "--name", name, "--set", "checkpoint.resume=never"]
    for setting in ("threads=1", "device=cpu", "evaluate_tokens=4096"):
        words += ["--set", f"train.{setting}"]
    run(["ten.cli", *words], hub, store)
    (path,) = store.glob(f"runs/{name}-*/metrics.jsonl")
    steps_taken = read_metrics(path)
    first, last = steps_taken[FIRST_STEP - 1], steps_taken[-1]
    rate = (last.tokens - first.tokens) / (last.seconds - first.seconds)
    waited = sum(step.data_wait_s for step in steps_taken[FIRST_STEP:])
    print(f"{mode}: {rate:.0f} tokens/s, waited {waited:.2f} s for data", file=sys.stderr)
    return rate


def train_all(hub: Hub, root: Path, size: Size) -> dict[str, list[float]]:
    """Both modes in turn: a fresh store for each streaming run, one pack for the others."""
    hub.set(latency_ms=0, throttle=0)
    packed = root / "packed"
    run(["ten.cli", "pack", "--dataset", "finewebedu", "--store", str(packed)], hub, packed)
    latency_ms, throttle = NETWORKS[BOTH]
    hub.set(latency_ms=latency_ms, throttle=throttle)
    rates: dict[str, list[float]] = {"pretokenized": [], "streaming": []}
    for number in range(size.repetitions):
        rates["pretokenized"].append(train("pretokenized", hub, packed, size.steps))
        rates["streaming"].append(train("streaming", hub, root / f"fresh-{number}", size.steps))
    return rates


def show_readings(readings: list[Reading]) -> dict[str, float]:
    """Print the medians; by network how many times the best of `datasets` ours is."""
    print(f"{'network':<18}{'ten MB/s':>10}" + "".join(f"{name:>10}" for name in READERS if name != OURS) + f"{'×':>8}")
    times: dict[str, float] = {}
    for network in NETWORKS:
        rates = {
            name: statistics.median(one.rate for one in readings if (one.network, one.reader) == (network, name))
            for name in READERS
        }
        times[network] = rates[OURS] / max(rate for name, rate in rates.items() if name != OURS)
        print(f"{network:<18}" + "".join(f"{rate:>10.0f}" for rate in rates.values()) + f"{times[network]:>8.2f}")
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8,000 rows instead of 28,000, one round, 20 steps")
    parser.add_argument("--json", action="store_true", help="print one JSON object a reading before the tables")
    arguments = parser.parse_args()
    quick = Size(groups=8, rounds=1, steps=20, repetitions=1)
    size = quick if arguments.quick else Size(groups=28, rounds=3, steps=30, repetitions=3)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        print("making the corpus", file=sys.stderr)
        text_bytes = write_web_parquet(root / "hub", files=1, groups=size.groups)
        with Hub(root / "hub") as hub:
            readings = read_all(hub, root, text_bytes, size.rounds)
            rates = train_all(hub, root, size)
    for reading in readings if arguments.json else ():
        print(msgspec.json.encode(reading).decode())
    times = show_readings(readings)
    print(f"\n{'nano':<18}{'tokens/s':>10}{'best':>10}{'worst':>10}")
    for mode, found in rates.items():
        print(f"{mode:<18}{statistics.median(found):>10.0f}{max(found):>10.0f}{min(found):>10.0f}")
    share = statistics.median(rates["streaming"]) / statistics.median(rates["pretokenized"])
    slow = {network: ratio for network, ratio in times.items() if network != "loopback"}
    missed = [f"{ratio:.2f} times on {at}, wanted 2" for at, ratio in slow.items() if ratio < TIMES_DATASETS]
    if share < OF_PRETOKENIZED:
        missed.append(f"streaming {share:.3f} of pretokenized, wanted {OF_PRETOKENIZED}")
    verdict = f"MISSED {'; '.join(missed)}" if missed else "targets met"
    print(
        f"stream: {' / '.join(f'{ratio:.2f}' for ratio in times.values())} times the best of datasets on "
        f"{' / '.join(times)}; training while streaming runs at {share:.3f} of pretokenized: "
        f"{'not judged' if arguments.quick else verdict}"
    )
    return 1 if missed and not arguments.quick else 0


if __name__ == "__main__":
    sys.exit(main())
