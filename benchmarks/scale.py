"""What training on 15 trillion tokens would ask of each part: some 900,000 shards, 64 packing nodes, 512 GPUs.

Three things, none of which touches a real cluster:
  parts     the real code, on a listing of 25,000 files that do not exist: CPU time of a call, peak memory
  requests  the real code, against a stand-in of the object store, for one shard of the real size
  cluster   those requests from 64 nodes, event by event, against the limits that Spaces documents

Targets, exit code 1 where one is missed: a manifest is usable in under 2 s; the order costs the same wherever it is
asked and however many units there are; no process takes more than a gibibyte for its plan; nobody lists; fewer than 1%
of training's requests are refused, and it waits for shards less than 1% of the time.

What is assumed and not known: a GPU's speed, bandwidth and latency of the store. See docs/scale.md.
"""

import argparse
import sys

from benchmarks.support import scale_parts as parts
from benchmarks.support.scale_cluster import Network, Seen, simulate_packing, simulate_training
from benchmarks.support.scale_corpus import SHARD_BYTES, UNIT_TOKENS, UNITS_PER_FILE, listing, recipe_for, shard_file
from benchmarks.support.scale_requests import Operation, count_requests
from ten.data.recipe import Recipe

FILES = 25_000
NODES, GPUS_PER_NODE = 64, 8
USABLE_S, PLAN_BYTES, ORDER_RATIO, REFUSED, WAITED = 2.0, 2**30, 5.0, 0.01, 0.01
BUCKET_PER_S = 800
DOLLARS_PER_NODE_HOUR = {"8×H100": 23.92, "8×H200": 27.52}


def measure_parts(files: int) -> list[str]:
    """What every part costs at this size and, for comparison, at a hundredth; targets that are missed."""
    corpus, listed = parts.measured(f"listing of {files:,} files", lambda: listing(files))
    recipe, planned = parts.measured("recipe: units, held-out split, fingerprint", lambda: recipe_for(corpus))
    shard = shard_file(recipe, 0)
    manifest, reading = parts.manifest_costs(recipe), parts.reading_costs(recipe, shard)
    order, room = parts.order_costs(len(recipe.units)), parts.room_costs(recipe)
    whole = [*parts.packing_costs(recipe, shard), parts.order_to_packer(recipe)]
    costs = [listed, planned, *manifest, *order, *reading, *room, *whole]
    small = recipe_for(listing(max(1, files // 100)))
    ratios = [many / few for many, few in zip(fastest(recipe, shard), fastest(small, shard), strict=True)]
    checks = [
        (manifest[1].seconds < USABLE_S, f"manifest usable after {manifest[1].seconds:.2f} s"),
        (max(ratios) < ORDER_RATIO, f"order or cursor {max(ratios):.1f} times slower than at a hundredth of the size"),
        (planned.peak < PLAN_BYTES, f"a plan of {planned.peak / 2**20:.0f} MiB"),
    ]
    print(f"{len(recipe.units):,} units, {len(recipe.units) * UNIT_TOKENS / 1e12:.1f} T tokens\n")
    print("| part | CPU time | peak MiB | |\n|---|--:|--:|---|")
    for cost in costs:
        print(f"| {cost.part} | {duration(cost.seconds)} | {cost.peak / 2**20:.1f} | {cost.note} |")
    print(f"\norder and cursor: {max(ratios):.1f} times the cost at a hundredth of the units, at most\n")
    return [text for met, text in checks if not met]


def fastest(recipe: Recipe, shard: bytes) -> list[float]:
    """Seconds that order and cursor take, the best of three rounds."""
    rounds = [[*parts.order_costs(len(recipe.units)), *parts.reading_costs(recipe, shard)] for _ in range(3)]
    return [min(cost.seconds for cost in same) for same in zip(*rounds, strict=True)]


def duration(seconds: float) -> str:
    """Seconds, milliseconds or microseconds, three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def show_requests(operations: dict[str, Operation]) -> list[str]:
    """Requests of each operation; those that list."""
    print("| operation | requests | |\n|---|--:|---|")
    for operation in operations.values():
        print(f"| {operation.name} | {len(operation.requests)} | {operation.text} |")
    print()
    return [
        f"{operation.name} lists"
        for operation in operations.values()
        if any(not request.key for request in operation.requests)
    ]


def simulate(operations: dict[str, Operation], options: argparse.Namespace) -> list[str]:
    """Nodes against a bucket, at the assumed speeds and beyond them; targets that are missed at the assumed ones."""
    start = operations["manifest read"].sizes * GPUS_PER_NODE + operations["first rows read"].sizes
    pull, push = operations["shard pulled"].sizes, operations["shard pushed"].sizes
    print(f"| {NODES} nodes | shards/s | requests/s | refused | GB/s | waited |\n|---|--:|--:|--:|--:|--:|")
    trained = train(options, 1, start, pull)
    packed = pack(options, 1, push)
    for factor in (2, 4):
        train(options, factor, start, pull)
        pack(options, factor, push)
    print("| *were a shard one request:* | | | | | |")
    for factor in (1, 4):
        train(options, factor, start, [SHARD_BYTES])
        pack(options, factor, [SHARD_BYTES])
    print(f"\nfirst rows on every node after {trained.started_s:.2f} s")
    show_sums(options.tokens_per_gpu * NODES * GPUS_PER_NODE, packed, sum(pull))
    refused, waited = trained.refused / trained.requests, trained.waited_s / trained.seconds
    checks = [
        (refused < REFUSED, f"training is refused {trained.refused:,} times in {trained.requests:,} requests"),
        (waited < WAITED, f"training waits {waited:.1%} of the time for shards"),
    ]
    return [text for met, text in checks if not met]


def train(options: argparse.Namespace, factor: int, start: list[int], pull: list[int]) -> Seen:
    """Training at so many times the assumed speed, as a line of the table."""
    speed = options.tokens_per_gpu * factor
    shard_s, eras = UNIT_TOKENS / (speed * NODES * GPUS_PER_NODE), 20 if options.quick else 75
    seen = simulate_training(network(options), NODES, start, pull, shard_s, eras)
    show(f"training, {speed:,.0f} tokens/s a GPU", seen, 1 / shard_s)
    return seen


def pack(options: argparse.Namespace, factor: int, push: list[int]) -> float:
    """Packing with so many times the assumed packers, as a line of the table; shards a second."""
    packers, made_s = options.packers * factor, UNIT_TOKENS / options.packer_tokens
    seen, sent = simulate_packing(network(options), NODES, packers, push, made_s, 60 if options.quick else 300)
    show(f"packing, {packers} packers a node", seen, sent / seen.seconds)
    return sent / seen.seconds


def network(options: argparse.Namespace) -> Network:
    """The assumed network before the documented limit."""
    speeds = options.latency, options.connection, options.bandwidth
    return Network(BUCKET_PER_S, *speeds, options.connections, options.pulls)


def show(name: str, seen: Seen, shards_per_s: float) -> None:
    """Print a simulation as a line of the table."""
    rate, speed = seen.requests / seen.seconds, seen.bytes / seen.seconds / 1e9
    waited = f"{seen.waited_s / seen.seconds:.1%}" if seen.started_s else ""
    print(f"| {name} | {shards_per_s:.2f} | {rate:.0f} | {seen.refused / seen.requests:.1%} | {speed:.2f} | {waited} |")


def show_sums(tokens_per_s: float, packed_per_s: float, pulled: int) -> None:
    """Hours, bytes and dollars of the whole."""
    shards = FILES * UNITS_PER_FILE
    gib, hours = shards * SHARD_BYTES / 2**30, shards * UNIT_TOKENS / tokens_per_s / 3600
    print(f"pack: {shards * SHARD_BYTES / 1e12:.1f} TB; {5 + max(0.0, gib - 250) * 0.02:,.0f} $ a month in Spaces")
    print(f"packing: {shards / packed_per_s / 3600:.1f} h at the assumed speed; its machines' price is not known")
    print(f"one epoch: {hours:.0f} h, {hours / 24:.1f} days, at the assumed speed")
    for name, price in DOLLARS_PER_NODE_HOUR.items():
        print(f"  {NODES} nodes of {name} at {price:.2f} $/h: {hours * price * NODES:,.0f} $")
    moved = NODES * shards * pulled
    print(f"pulled: {moved / 1e15:.2f} PB, as every node reads every shard; free within the store's region,")
    print(f"  {moved / 2**30 * 0.01:,.0f} $ from another at 0.01 $/GiB")


def main() -> int:
    """Print the tables; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the files, and shorter simulations")
    parser.add_argument("--tokens-per-gpu", type=float, default=32_000, help="tokens/s a GPU trains on, assumed")
    parser.add_argument("--packers", type=int, default=8, help="packers on a packing node, a core each")
    parser.add_argument("--packer-tokens", type=float, default=5e6, help="tokens/s a packer makes, assumed")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds until the store answers, assumed")
    parser.add_argument("--connection", type=float, default=50e6, help="bytes/s of a connection, assumed")
    parser.add_argument("--connections", type=int, default=8, help="requests of a node side by side")
    parser.add_argument("--pulls", type=int, default=2, help="shards a node pulls side by side (data.pack_threads)")
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes/s of a node, assumed")
    options = parser.parse_args()
    files = FILES // 10 if options.quick else FILES
    missed = measure_parts(files)
    operations = count_requests(files)
    missed += show_requests(operations)
    missed += simulate(operations, options)
    print(f"\nscale: {'targets met' if not missed else 'MISSED: ' + '; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
