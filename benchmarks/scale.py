"""What training on 15 trillion tokens would ask of each part: some 900,000 shards, 64 packing nodes, 512 GPUs.

Three things, none of which touches a real cluster:
  parts     the real code, on a listing of 25,000 files that do not exist: time of a call, peak memory
  requests  the real code, against a stand-in of the object store, for one shard of the real size
  cluster   those requests from 64 nodes, event by event, against the limits that Spaces documents

Targets, exit code 1 where one is missed: a manifest is usable in under 2 s; the order costs the same wherever it is
asked and however many units there are; no process takes more than a gibibyte for its plan; nobody lists; training
stays below the bucket's limit and never waits once it has begun.

What is assumed and not known: a GPU's speed, bandwidth and latency of the store. See docs/scale.md.
"""

import argparse
import sys

from benchmarks.support import scale_parts as parts
from benchmarks.support.scale_cluster import Network, Seen, simulate_packing, simulate_training
from benchmarks.support.scale_corpus import SHARD_BYTES, UNIT_TOKENS, UNITS_PER_FILE, listing, recipe_for, shard_file
from benchmarks.support.scale_requests import Operation, count_requests

FILES = 25_000
NODES, GPUS_PER_NODE = 64, 8
USABLE_S, PLAN_BYTES, ORDER_RATIO = 2.0, 2**30, 5.0
BUCKET_PER_S = 800
DOLLARS_PER_NODE_HOUR = {"8×H100": 23.92, "8×H200": 27.52}


def measure_parts(files: int) -> tuple[list[parts.Cost], list[str]]:
    """What every part costs at this size and, for comparison, at a hundredth; targets that are missed."""
    corpus, listed = parts.measured(f"listing of {files:,} files", lambda: listing(files))
    recipe, planned = parts.measured("recipe: units, held-out split, fingerprint", lambda: recipe_for(corpus))
    shard = shard_file(recipe, 0)
    manifest, reading = parts.manifest_costs(recipe), parts.reading_costs(recipe, shard)
    order, room = parts.order_costs(len(recipe.units)), parts.room_costs(recipe)
    costs = [listed, planned, *manifest, *order, *reading, *room, parts.order_to_packer(recipe)]
    small = recipe_for(listing(max(1, files // 100)))
    few = [*parts.order_costs(len(small.units)), *parts.reading_costs(small, shard)]
    ratios = [many.seconds / one.seconds for many, one in zip([*order, *reading], few, strict=True)]
    checks = [
        (manifest[1].seconds < USABLE_S, f"manifest usable after {manifest[1].seconds:.2f} s"),
        (max(ratios) < ORDER_RATIO, f"order or cursor {max(ratios):.1f} times slower than at a hundredth of the size"),
        (planned.peak < PLAN_BYTES, f"a plan of {planned.peak / 2**20:.0f} MiB"),
    ]
    print(f"{len(recipe.units):,} units, {len(recipe.units) * UNIT_TOKENS / 1e12:.1f} T tokens\n")
    print(f"| part | time | peak MiB | {'':<40} |\n|---|--:|--:|---|")
    for cost in costs:
        print(f"| {cost.part} | {duration(cost.seconds)} | {cost.peak / 2**20:.1f} | {cost.note} |")
    print(f"\norder and cursor: {max(ratios):.1f} times the cost at a hundredth of the units, at most\n")
    return costs, [text for met, text in checks if not met]


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
    network = Network(BUCKET_PER_S, options.latency, options.connection, options.bandwidth, options.connections)
    start = operations["manifest read"].sizes * GPUS_PER_NODE + operations["first rows read"].sizes
    pull, push = operations["shard pulled"].sizes, operations["shard pushed"].sizes
    eras, seconds = (20, 60) if options.quick else (75, 300)
    print(
        "| 64 nodes | shards/s | requests/s | busiest second | refused | GB/s | waited |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    trained, packed = [], []
    for factor in (1, 2, 4, 8):
        speed = options.tokens_per_gpu * factor
        shard_s = UNIT_TOKENS / (speed * NODES * GPUS_PER_NODE)
        trained.append(simulate_training(network, NODES, start, [[size] for size in pull], shard_s, eras))
        print(row(f"training, {speed:,.0f} tokens/s a GPU", trained[-1], 1 / shard_s))
    for factor in (1, 2, 4, 8):
        workers = options.packers * factor
        made_s = UNIT_TOKENS / options.packer_tokens
        seen, sent = simulate_packing(network, NODES, workers, push, made_s, seconds)
        packed.append(sent / seen.seconds)
        print(row(f"packing, {workers} packers a node", seen, packed[-1]))
    print(f"\nfirst rows on every node after {trained[0].started_s:.2f} s")
    show_sums(options.tokens_per_gpu * NODES * GPUS_PER_NODE, packed[0], sum(pull))
    checks = [
        (not trained[0].refused, f"training is refused {trained[0].refused} requests"),
        (not trained[0].waited_s, f"training waits {trained[0].waited_s:.1f} s for shards"),
    ]
    return [text for met, text in checks if not met]


def row(name: str, seen: Seen, shards_per_s: float) -> str:
    """A simulation as a line of a table."""
    rate, speed = seen.requests / seen.seconds, seen.bytes / seen.seconds / 1e9
    waited = f"{seen.waited_s / seen.seconds:.1%}"
    return f"| {name} | {shards_per_s:.2f} | {rate:.0f} | {seen.busiest} | {seen.refused} | {speed:.2f} | {waited} |"


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
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes/s of a node, assumed")
    options = parser.parse_args()
    files = FILES // 10 if options.quick else FILES
    _, missed = measure_parts(files)
    operations = count_requests()
    missed += show_requests(operations)
    missed += simulate(operations, options)
    print(f"\nscale: {'targets met' if not missed else 'MISSED: ' + '; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
