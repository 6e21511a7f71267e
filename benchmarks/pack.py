"""How many tokens a CPU second packs, process start included, beside a plain `datasets.map` pipeline.

Each contender is a real process that reads the same JSONL file with the same GPT-2 tokenizer and leaves token files on
disk; its CPU seconds and peak memory are what the system says when it has ended. `datasets` runs as its documentation
shows it (batched `map`, the `tokenizers` library, one process, columns of token lists), on a smaller file: its start is
counted too, which at its rate hardly matters.

Targets: at least 10 million tokens per CPU second on 100 MB of text, at most 2.02 bytes a token on disk, and at most
400 MiB of memory with one thread, whatever the corpus: a unit is at most 64 MiB of text, and what the encoder remembers
is bounded too. Up to those bounds memory grows with the corpus, as the first two rows show.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.support.corpus import write_jsonl
from ten.data.manifest import parse_manifest
from ten.text.tokens import load_tokenizer

TOKENS_PER_CPU_SECOND = 10e6
BYTES_PER_TOKEN = 2.02
MEMORY_MIB = 400
QUIET = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

PEER = """
import sys
from datasets import load_dataset
from tokenizers import Tokenizer
corpus, tokenizer_file, out = sys.argv[1:]
tokenizer = Tokenizer.from_file(tokenizer_file)
def tokenize(batch):
    return {"ids": [e.ids for e in tokenizer.encode_batch_fast(batch["text"], add_special_tokens=False)]}
data = load_dataset("json", data_files=corpus, split="train", cache_dir=out)
data = data.map(tokenize, batched=True, remove_columns=data.column_names)
data.save_to_disk(out + "/packed")
print(sum(len(ids) for ids in data["ids"]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One process."""

    name: str
    text_mb: float
    tokens: int
    cpu_s: float
    wall_s: float
    memory_mib: float
    disk_bytes: int

    @property
    def rate(self) -> float:
        """Tokens per CPU second."""
        return self.tokens / self.cpu_s


def measure(name: str, command: list[str], text_bytes: int) -> tuple[str, float, float, float]:
    """Run a process; what it printed, its CPU seconds with all children's, wall seconds, peak MiB of one process."""

    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=QUIET)
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{name} failed with exit code {process.returncode} on {text_bytes / 1e6:.0f} MB of text")
    return said, usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss / 1024


def run_ten(corpus: Path, text_bytes: int, folder: Path, threads: int) -> Result:
    """`ten pack` in a fresh store."""
    store = folder / f"store-{corpus.stem}-{threads}"
    words = ["pack", "--dataset", str(corpus), "--tokenizer", "gpt2", "--store", str(store)]
    command = [sys.executable, "-m", "ten.cli", *words, "--set", f"data.pack_threads={threads}"]
    _, cpu, wall, memory = measure("ten", command, text_bytes)
    (path,) = store.glob("packs/*/manifest.json")
    manifest = parse_manifest(path.read_bytes(), str(path))
    tokens = manifest.tokens + manifest.held_out_tokens
    return Result(
        name=f"ten pack ({threads} thread{'s' if threads > 1 else ''})", text_mb=text_bytes / 1e6, tokens=tokens,
        cpu_s=cpu, wall_s=wall, memory_mib=memory, disk_bytes=manifest.bytes,
    )  # fmt: skip


def run_datasets(corpus: Path, text_bytes: int, folder: Path) -> Result:
    """`datasets.map` with the tokenizers library."""
    definition = folder / "tokenizer.json"
    definition.write_text(load_tokenizer("gpt2").definition, encoding="utf-8")
    out = folder / "datasets"
    command = [sys.executable, "-c", PEER, str(corpus), str(definition), str(out)]
    said, cpu, wall, memory = measure("datasets", command, text_bytes)
    disk = sum(path.stat().st_size for path in (out / "packed").rglob("*.arrow"))
    return Result(
        name="datasets.map", text_mb=text_bytes / 1e6, tokens=int(said.split()[-1]), cpu_s=cpu, wall_s=wall,
        memory_mib=memory, disk_bytes=disk,
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="40 MB of text instead of 100; the rate's target is not judged"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a row before the summary")
    arguments = parser.parse_args()
    size = 40e6 if arguments.quick else 100e6
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, quarter, small = folder / "whole.jsonl", folder / "quarter.jsonl", folder / "small.jsonl"
        whole_bytes = write_jsonl(whole, round(size))
        quarter_bytes, small_bytes = write_jsonl(quarter, round(size / 4)), write_jsonl(small, round(size / 10))
        rows = [
            run_ten(whole, whole_bytes, folder, 1),
            run_ten(quarter, quarter_bytes, folder, 1),
            run_ten(whole, whole_bytes, folder, 4),
            run_datasets(small, small_bytes, folder),
        ]
    print(f"{'packer':<22}{'text MB':>9}{'Mtok':>8}{'CPU s':>8}{'wall s':>8}{'Mtok/CPU s':>12}{'MiB':>7}{'B/token':>9}")
    for row in rows:
        if arguments.json:
            print(msgspec.json.encode(row).decode())
        print(
            f"{row.name:<22}{row.text_mb:>9.1f}{row.tokens / 1e6:>8.2f}{row.cpu_s:>8.2f}{row.wall_s:>8.2f}"
            f"{row.rate / 1e6:>12.2f}{row.memory_mib:>7.0f}{row.disk_bytes / row.tokens:>9.2f}"
        )
    ours, _, _, peer = rows
    missed = []
    if ours.rate < TOKENS_PER_CPU_SECOND and not arguments.quick:
        missed.append(f"{ours.rate / 1e6:.1f} million tokens per CPU second, wanted {TOKENS_PER_CPU_SECOND / 1e6:.0f}")
    if ours.disk_bytes / ours.tokens > BYTES_PER_TOKEN:
        missed.append(f"{ours.disk_bytes / ours.tokens:.3f} bytes a token, wanted {BYTES_PER_TOKEN}")
    if ours.memory_mib > MEMORY_MIB:
        missed.append(f"{ours.memory_mib:.0f} MiB of memory, wanted {MEMORY_MIB}")
    print(
        f"pack: {ours.rate / 1e6:.1f} million tokens per CPU second on {ours.text_mb:.0f} MB, "
        f"{ours.rate / peer.rate:.0f} times datasets.map; {ours.disk_bytes / ours.tokens:.2f} bytes a token; "
        f"{ours.memory_mib:.0f} MiB: {'MISSED ' + '; '.join(missed) if missed else 'targets met'}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
