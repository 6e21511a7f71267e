"""How well the variants learn at equal parameters and equal tokens, beside a Llama-style transformer.

Every model of a rung has the same parameters (within 2%), the same bytes in the same order and the recipe a job has by
default: its learning rate for the width, warm-up, stable, decay, no search for any contender. The text is Python
source, as bytes; files are held out by a hash of their name, and no model is told where a file begins. At least two
seeds. Each model is then read on rows of 4 times its training length: `beyond` is what it pays past that length.

--quick is one small rung (5 minutes of two quiet cores). Without it: a ladder of sizes and lengths, cheapest first;
--minutes ends it early. --gpu: 112M parameters in bf16, of all Python source that this interpreter can import.

Targets, at every rung: the default is 0.1 bits per byte ahead of the published form where that takes part, at most 0.01
behind the transformer, and ahead of it beyond the training length. The order changes with the length of training.
"""

import argparse
import functools
import hashlib
import math
import multiprocessing
import os
import platform
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.support.contenders import STRETCH, VOCABULARY, Contender, Rung, build
from benchmarks.support.transformer import Transformer
from ten.model.lm import LanguageModel
from ten.train.optim import build_optimizer
from ten.train.schedule import open_schedule
from ten.train.settings import TrainSettings

SEPARATOR = VOCABULARY - 1
WARMUP = 0.05
AHEAD_OF_PAPER, BEHIND_TRANSFORMER, SAME_SIZE = 0.10, 0.01, 0.02
HELD_OUT_BYTES = 1 << 15
FIRST, SECOND = Rung(64, 2, 32, 144, 4, 128, 8, 150), Rung(96, 3, 48, 208, 4, 128, 8, 150)
THIRD, FOURTH = Rung(128, 4, 64, 320, 4, 256, 8, 300), Rung(128, 4, 64, 320, 4, 512, 8, 1500)
LADDER = (
    FIRST,
    FIRST._replace(steps=450),
    SECOND,
    SECOND._replace(steps=450),
    FIRST._replace(steps=1500),
    THIRD,
    SECOND._replace(steps=1500),
    FIRST._replace(steps=6000),
    FOURTH,
    FOURTH._replace(steps=6000),
)
QUICK = (Rung(96, 3, 48, 208, 4, 256, 8, 300),)
GPU = tuple(Rung(768, 18, 192, 2048, 6, 1024, 32, steps) for steps in (500, 2000))
SIX = tuple(Contender(form, name) for name in ("adamw", "muon") for form in ("ten", "matrix", "transformer"))
QUICK_CONTENDERS = (*SIX[:3], Contender("ten", "muon"), Contender("paper"))


class Result(NamedTuple):
    """One training; bits per byte held out, over all positions, and past the training length in rows of 4 times it."""

    rung: Rung
    contender: Contender
    seed: int
    parameters: int
    bits: float
    bits_late: float
    bits_beyond: float
    tokens_per_cpu_second: float


@functools.cache
def corpus(wide: bool) -> tuple[Tensor, Tensor]:
    """Bytes of the standard library's files, each closed by the separator: to train on, and held out (1 in 20).

    `wide` adds the installed packages.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    roots = [root, Path(sysconfig.get_paths()["purelib"])] if wide else [root]
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for folder in roots:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder).as_posix()
            if "-packages/" in name or "/test" in f"/{name}" or not path.stat().st_size:
                continue
            held_out = hashlib.sha256(name.encode()).digest()[0] % 20 == 0
            content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).to(torch.int16)
            parts[held_out].extend([content, torch.tensor([SEPARATOR], dtype=torch.int16)])
    return torch.cat(parts[0]), torch.cat(parts[1])


def draw(text: Tensor, rows: int, length: int, generator: torch.Generator) -> Tensor:
    """(rows, length + 1) tokens from random places."""
    places = torch.randint(len(text) - length - 1, (rows, 1), generator=generator)
    return text[places + torch.arange(length + 1)].long()


def train(rung: Rung, contender: Contender, seed: int, device: str, deadline: float) -> Result | None:
    """Train one model and measure it on the text held out; on a CPU with one core and in fp32, else in bf16.

    None where `deadline`, as time.time() tells it, comes first.
    """
    if device == "cpu":
        torch.set_num_threads(1)
    text, held_out = corpus(device != "cpu")
    torch.manual_seed(seed)
    model = build(contender.form, rung).to(device)
    settings = TrainSettings(optimizer=contender.optimizer, warmup=WARMUP)
    optimizer = build_optimizer(model, settings, model.no_decay_names())
    schedule = open_schedule(settings, total_tokens=rung.tokens, width=rung.width)
    generator = torch.Generator().manual_seed(1000 + seed)
    step_tokens = rung.rows * rung.seq_len
    began = _clock(device)
    for step in range(rung.steps):
        if time.time() > deadline:
            return None
        for group in optimizer.param_groups:
            group["lr"] = schedule.for_step(step * step_tokens, (step + 1) * step_tokens)
        with _precision(device):
            loss = model.loss(draw(text, rung.rows, rung.seq_len, generator).to(device)) / step_tokens
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
    speed = rung.tokens / (_clock(device) - began)
    near = bits_by_position(model, held_out, rung.seq_len, device)
    far = bits_by_position(model, held_out, STRETCH * rung.seq_len, device)
    return Result(
        rung=rung,
        contender=contender,
        seed=seed,
        parameters=sum(p.numel() for p in model.parameters()),
        bits=near.mean().item(),
        bits_late=near[rung.seq_len // 2 :].mean().item(),
        bits_beyond=far[rung.seq_len :].mean().item(),
        tokens_per_cpu_second=speed,
    )


@torch.no_grad()
def bits_by_position(model: LanguageModel | Transformer, held_out: Tensor, length: int, device: str) -> Tensor:
    """(length,) mean bits per byte at each position, over the same places for every model and seed."""
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros(length)
    rows, batches = 8, max(1, HELD_OUT_BYTES // (8 * length))
    for _ in range(batches):
        tokens = draw(held_out, rows, length, generator).to(device)
        with _precision(device):
            logits = model.logits(model(tokens[:, :-1])[0])
        losses = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
        total += losses.view(rows, length).mean(dim=0).cpu()
    return total / batches / math.log(2)


def train_all(
    rungs: Sequence[Rung], contenders: Sequence[Contender], seeds: int, jobs: int, device: str, minutes: float
) -> list[Result]:
    """Every contender with every seed, rung by rung, `jobs` at a time; a line for each that ends.

    What is not done after `minutes` is given up, and contenders that lack a seed of a rung are left out of it.
    """
    deadline = time.time() + 60 * minutes
    tasks = [(r, c, seed, device, deadline) for r in rungs for c in contenders for seed in range(seeds)]
    results: list[Result] = []
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for run in as_completed([pool.submit(train, *task) for task in tasks]):
            last = run.result()
            if last is None:
                continue
            results.append(last)
            print(
                f"{len(results)}/{len(tasks)}  {last.rung.name}, {last.contender.name}, seed {last.seed}: "
                f"{last.bits:.4f} bits/byte held out, {last.bits_late:.4f} last half, {last.bits_beyond:.4f} beyond",
                flush=True,
            )
    done = Counter((result.rung, result.contender) for result in results)
    return [result for result in results if done[result.rung, result.contender] == seeds]


def table(results: list[Result]) -> str:
    """A Markdown table, a line for each rung and contender: means over the seeds."""
    header = "| parameters x bytes | model | bits/byte | spread | last half | beyond | bytes/s |"
    lines = [header, "|---|---|--:|--:|--:|--:|--:|"]
    for rung, contender in dict.fromkeys((r.rung, r.contender) for r in sorted(results, key=_place)):
        own = [result for result in results if (result.rung, result.contender) == (rung, contender)]
        bits = [result.bits for result in own]
        late, beyond = mean(r.bits_late for r in own), mean(r.bits_beyond for r in own)
        speed = mean(r.tokens_per_cpu_second for r in own)
        lines.append(
            f"| {rung.name} | {contender.name} | {mean(bits):.4f} | {max(bits) - min(bits):.4f} "
            f"| {late:.3f} | {beyond:.3f} | {speed:,.0f} |"
        )
    return "\n".join(lines)


def verdict(results: list[Result]) -> tuple[bool, str]:
    """Whether the targets hold at every rung, and the lines that say so."""
    lines: list[str] = []
    held = True
    for rung in dict.fromkeys(result.rung for result in sorted(results, key=_place)):
        own = [result for result in results if result.rung == rung]
        if not {"ten", "transformer"} <= {result.contender.name for result in own}:
            continue
        bits = {c.name: mean(r.bits for r in own if r.contender == c) for c in {r.contender for r in own}}
        beyond = {c.name: mean(r.bits_beyond for r in own if r.contender == c) for c in {r.contender for r in own}}
        sizes = [result.parameters for result in own]
        behind, further = bits["ten"] - bits["transformer"], beyond["transformer"] - beyond["ten"]
        ahead = bits["paper"] - bits["ten"] if "paper" in bits else None
        good = behind <= BEHIND_TRANSFORMER and further > 0 and max(sizes) <= (1 + SAME_SIZE) * min(sizes)
        good = good and (ahead is None or ahead >= AHEAD_OF_PAPER)
        held = held and good
        words = [f"default {behind:+.3f} against the transformer (<= +{BEHIND_TRANSFORMER})"]
        words += [f"{further:+.3f} ahead of it beyond the training length (> 0)"]
        words += [] if ahead is None else [f"{ahead:+.3f} ahead of paper (>= {AHEAD_OF_PAPER})"]
        words += [f"best: {min(bits, key=lambda name: bits[name])}"]
        lines.append(f"quality: {'ok' if good else 'MISSED'} at {rung.name}: {', '.join(words)}")
    if not lines:
        return False, "quality: MISSED: no rung was judged; give it more --minutes"
    return held, "\n".join(lines)


def report(results: list[Result], seeds: int, device: str, shown: str, summary: str, seconds: float) -> str:
    """A dated report of one run."""
    rungs = dict.fromkeys(result.rung for result in sorted(results, key=_place))
    sizes = "; ".join(
        f"{r.name}: width {r.width}, {r.layers} layers, K {r.eigenstates}, {r.steps} steps of {r.rows} x {r.seq_len}"
        for r in rungs
    )
    where = torch.cuda.get_device_name() if device != "cpu" else f"{platform.machine()}, {os.cpu_count()} cores"
    return (
        f"# Quality at equal parameters and tokens, {device}, {time.strftime('%Y-%m-%d')}\n\n"
        f"`benchmarks/quality.py`, {seeds} seeds. {sizes}. The recipe of a job without settings, warm-up {WARMUP}; one "
        f"core a training on a CPU.\nPython {platform.python_version()} (its source is the text), torch "
        f"{torch.__version__}, {where}; {seconds / 60:.1f} minutes.\n\n{shown}\n\n{summary}\n\n"
        "Spread is the largest minus the smallest of the seeds; beyond: positions past the training length in rows of "
        f"{STRETCH} times it; bytes/s: of training, by the CPU's own time on a CPU. Small models of source code early "
        "in training: the order is the finding, not the distance, and it changes with the length of training "
        "(attention learns late). Long recall is not tested.\n"
    )


def _place(result: Result) -> tuple[int, int, str, str]:
    return result.rung.width, result.rung.steps, result.contender.optimizer, result.contender.form


def _clock(device: str) -> float:
    """Seconds of this process's CPU, or of the wall once the device is done: other work must not count."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _precision(device: str) -> torch.autocast | nullcontext[None]:
    return nullcontext() if device == "cpu" else torch.autocast(device, dtype=torch.bfloat16)


def main() -> int:
    """Train, print the table and the summary; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--quick", action="store_true", help="one small rung: about 5 minutes")
    scale.add_argument("--gpu", action="store_true", help="112M parameters on a CUDA GPU, one training at a time")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each model (default 2)")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 2), help="trainings at a time on a CPU")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="N", help="end after so many minutes")
    parser.add_argument("--report", type=Path, metavar="PATH", help="write the result there as Markdown")
    options = parser.parse_args()
    if options.gpu and not torch.cuda.is_available():
        parser.error("--gpu needs a CUDA GPU, and torch sees none here")
    device = "cuda" if options.gpu else "cpu"
    rungs = GPU if options.gpu else QUICK if options.quick else LADDER
    contenders = QUICK_CONTENDERS if options.quick else SIX
    began = time.perf_counter()
    jobs = 1 if options.gpu else options.jobs
    results = train_all(rungs, contenders, options.seeds, jobs, device, options.minutes)
    shown = table(results)
    held, summary = verdict(results)
    print(f"\n{shown}\n")
    if options.report:
        text = report(results, options.seeds, device, shown, summary, time.perf_counter() - began)
        options.report.write_text(text)
    print(summary)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
