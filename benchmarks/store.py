"""How soon rows come from an object store, beside LitData and MosaicML streaming, and how fast a whole pack does.

The same random tokens lie in the same S3 server, as a pack of ours, as LitData's chunks for its `TokensLoader` and as
MosaicML's MDS rows of 513 tokens, in files of one size. Every figure is that of a fresh process with an empty cache;
server and contenders share the machine. Peers shuffle; the best of their settings counts.

First batch: seconds from the start of the process until 8 rows of 512 tokens are int64 tensors, with every request
answered at once or after 50 ms. Ours is the way of `ten train --pretokenized` with a name that means nothing on the
machine: listing, manifest, first rows of the first shard. `bare` imports torch and does nothing else, `ten arrays` does
without it: its rows are an int64 array, ready while training would still import torch; peers cannot be had without.
Round trips are requests that waited for others, up to and with the first for a shard; requests and MB all those until
the batch.

Whole pack: MB a second over all shards but the first, which wakes clients up: straight from the server, and after 50 ms
a request at 25 MB/s a connection. Plain `get_object` into memory with boto3 and with obstore (4 and 16 threads; the
best counts), and ours as training pulls it, by the packer process, hashed and on the disk. Straight from the server
all are limited by the cores that they share with it. Then rows, straight too: an epoch of batches as tensors, imports
not counted.

Targets: first batch (arrays) within 0.5 of the better peer's time at 0 ms and at 50 ms; whole pack at 0.9 of boto3 both
ways; at most 3 round trips. With --quick the times are not judged.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.support.store_stage import Stage, has_peers, round_trips
from tests.standins.s3 import S3Stand

OF_PEER, OF_RAW, ROUND_TRIPS = 0.5, 0.9, 3
NETWORKS = {"0 ms": 0.0, "50 ms": 50.0}
ROWS = "rows"
PACKS = {"pack": (0.0, 0), "pack, 50 ms, 25 MB/s": (50.0, 25_000_000)}
OURS, WITH_TORCH = "ten arrays", "ten"
READERS = ["litdata 0", "litdata 2", "mosaicml 0"]
"""With so many workers; two of MosaicML's took 66 s for a first batch at 50 ms."""
RAW = [f"{client} {threads}" for client in ("boto3", "obstore") for threads in (4, 16)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    shards: int
    tokens: int
    """In a shard."""
    rounds: int
    epochs: int


QUICK = Size(shards=16, tokens=2**19, rounds=1, epochs=1)
FULL = Size(shards=64, tokens=2**20, rounds=3, epochs=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process."""

    contender: str
    measured: str
    """A network's name for a first batch; a name of PACKS, or ROWS."""
    value: float
    """Seconds of a first batch, else MB a second."""
    round_trips: int = 0
    requests: int = 0
    megabytes: float = 0.0


def first_batch(stage: Stage, contender: str, network: str) -> Run:
    """Seconds from the start of a process to its first batch, and what it asked for by then."""
    (reached,) = stage.read(contender, "first", direct=False)
    asked = [entry for entry in stage.log() if entry.started <= reached.at]
    return _told(
        Run(
            contender=contender, measured=network, value=reached.at - reached.started, requests=len(asked),
            round_trips=round_trips(asked), megabytes=sum(entry.sent for entry in asked) / 1e6,
        )
    )  # fmt: skip


def whole(stage: Stage, contender: str, measured: str) -> Run:
    """MB a second of the whole pack, as shards or as rows."""
    *_, last = stage.read(contender, "rows" if measured == ROWS else "pull", direct=measured in ("pack", ROWS))
    return _told(Run(contender=contender, measured=measured, value=stage.bytes / 1e6 / (last.at - last.began)))


def _told(run: Run) -> Run:
    unit = "s" if run.measured in NETWORKS else "MB/s"
    print(f"{run.measured}: {run.contender} {run.value:.2f} {unit}", file=sys.stderr)
    return run


def measure(stage: Stage, size: Size) -> list[Run]:
    """All contenders in turn, so that they meet the same noise; the first round warms the disk's cache up."""
    runs: list[Run] = []
    for network, latency_ms in NETWORKS.items():
        stage.network(latency_ms, 0)
        warm_up = network == "0 ms"
        for number in range(size.rounds + warm_up):
            together = [first_batch(stage, name, network) for name in ("bare", OURS, WITH_TORCH, *READERS)]
            runs += together[: None if number or not warm_up else 0]
    for measured, (latency_ms, throttle) in PACKS.items():
        stage.network(latency_ms, throttle)
        runs += [whole(stage, name, measured) for _ in range(size.rounds) for name in (*RAW, "ten")]
    runs += [whole(stage, name, ROWS) for _ in range(size.epochs) for name in ("ten", *READERS)]
    return runs


def median(runs: Iterable[Run], contender: str, measured: str) -> float:
    """Of a contender's figures."""
    return statistics.median(run.value for run in runs if (run.contender, run.measured) == (contender, measured))


def show_first(runs: Sequence[Run]) -> dict[str, float]:
    """Print the table of first batches; by network what part of the better peer's time ours is."""
    print(
        f"{'network':<10}{'first batch':<14}{'median s':>9}{'best':>7}{'worst':>7}{'trips':>7}{'requests':>10}{'MB':>7}"
    )
    for network in NETWORKS:
        for name in ("bare", OURS, WITH_TORCH, *READERS):
            mine = [run for run in runs if (run.contender, run.measured) == (name, network)]
            seconds = [run.value for run in mine]
            print(
                f"{network:<10}{name:<14}{statistics.median(seconds):>9.2f}{min(seconds):>7.2f}{max(seconds):>7.2f}"
                f"{max(run.round_trips for run in mine):>7}{max(run.requests for run in mine):>10}"
                f"{max(run.megabytes for run in mine):>7.1f}"
            )
    return {
        network: median(runs, OURS, network) / min(median(runs, name, network) for name in READERS)
        for network in NETWORKS
    }


def show_whole(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Print the table of whole packs; by network what part of the best of boto3 ours and obstore are."""
    print(f"\n{'whole pack':<22}{'by':<12}{'MB/s':>7}{'best':>7}{'worst':>7}")
    names = dict.fromkeys(PACKS, (*RAW, "ten")) | {ROWS: ("ten", *READERS)}
    for measured in names:
        for name in names[measured]:
            rates = [run.value for run in runs if (run.contender, run.measured) == (name, measured)]
            print(f"{measured:<22}{name:<12}{statistics.median(rates):>7.0f}{max(rates):>7.0f}{min(rates):>7.0f}")
    parts: dict[str, dict[str, float]] = {}
    for measured in PACKS:
        best = {
            client: max(median(runs, name, measured) for name in (*RAW, "ten") if name.startswith(client))
            for client in ("boto3", "obstore", "ten")
        }
        parts[measured] = {client: rate / best["boto3"] for client, rate in best.items()}
    return parts


def verdict(first: dict[str, float], of_raw: dict[str, dict[str, float]], trips: int, *, quick: bool) -> list[str]:
    """The targets that are missed."""
    missed = [f"{part:.2f} at {at}, wanted {OF_PEER}" for at, part in first.items() if part > OF_PEER]
    missed += [
        f"{part['ten']:.2f} of boto3 ({measured}), wanted {OF_RAW}"
        for measured, part in of_raw.items()
        if part["ten"] < OF_RAW
    ]
    missed = [] if quick else missed
    if trips > ROUND_TRIPS:
        missed.append(f"{trips} round trips, wanted {ROUND_TRIPS}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16 shards of 1 MiB instead of 64 of 2 MiB, one round")
    parser.add_argument("--json", action="store_true", help="print one JSON object a process before the tables")
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable, help="interpreter that has the peers")
    arguments = parser.parse_args()
    if not has_peers(arguments.peers):
        print(
            f"{arguments.peers} lacks the peers: install litdata, mosaicml-streaming, obstore and the CPU build of "
            "torch into an environment of their own, and name its interpreter with --peers",
            file=sys.stderr,
        )
        return 2
    size = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory() as root, S3Stand() as stand:
        print("filling the store", file=sys.stderr)
        stage = Stage(stand, Path(root), arguments.peers, size.shards, size.tokens)
        stage.prepare()
        runs = measure(stage, size)
    for run in runs if arguments.json else ():
        print(msgspec.json.encode(run).decode())
    first, of_raw = show_first(runs), show_whole(runs)
    trips = max(run.round_trips for run in runs if run.contender in (OURS, WITH_TORCH))
    missed = verdict(first, of_raw, trips, quick=arguments.quick)
    met = "targets met, times not judged" if arguments.quick else "targets met"
    ours, others = ([f"{part[client]:.2f}" for part in of_raw.values()] for client in ("ten", "obstore"))
    print(
        f"store: first batch in {' / '.join(f'{part:.2f}' for part in first.values())} of the better peer's time at "
        f"{' / '.join(first)}, after {trips} round trips; {' / '.join(PACKS)} at {' / '.join(ours)} of boto3 (obstore "
        f"{' / '.join(others)}): {'MISSED ' + '; '.join(missed) if missed else met}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
