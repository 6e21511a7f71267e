"""How well the default model learns beside its fixed form, the published form and a transformer.

Every model has the same parameters (within 2%), the same tokens in the same order and the same recipe. The text is
the source of the running Python's standard library, as bytes; files are held out by a hash of their name. No model
is told where a file begins. Two seeds at least; the table gives the mean and the spread between seeds.

Targets: default at least 0.1 bits per byte ahead of the published form, and at most 0.01 behind the transformer.
--quick sees early training only, where attention lags: its distance to the transformer shrinks with more steps.
"""

import argparse
import hashlib
import math
import multiprocessing
import os
import platform
import sys
import sysconfig
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.support.transformer import Transformer
from ten.model.cost import parameters
from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig, padded_vocabulary
from ten.train.optim import build_optimizer
from ten.train.settings import TrainSettings

SEPARATOR, VOCABULARY = 256, 257
HEADS = 4
LEARNING_RATE, WARMUP, WEIGHT_DECAY = 2e-3, 50, 0.1
AHEAD_OF_PAPER, BEHIND_TRANSFORMER, SAME_SIZE = 0.10, 0.01, 0.02
NAMES = {"ten": "ten (default)", "fixed": "ten, fixed eigenvalues", "paper": "paper", "transformer": "transformer"}


class Plan(NamedTuple):
    """Sizes of all models and the length of their training."""

    width: int
    layers: int
    eigenstates: int
    mlp_width: int
    seq_len: int
    rows: int
    steps: int
    held_out_rows: int = 192


FULL = Plan(width=128, layers=4, eigenstates=64, mlp_width=320, seq_len=512, rows=8, steps=1500)
QUICK = Plan(width=96, layers=3, eigenstates=48, mlp_width=208, seq_len=256, rows=8, steps=400)


class Result(NamedTuple):
    """One training: bits per byte held out, over all, the first 64 and the last half of the positions."""

    model: str
    seed: int
    parameters: int
    bits: float
    bits_early: float
    bits_late: float
    tokens_per_second: float


def configuration(name: str, plan: Plan) -> ModelConfig:
    """The `ten` and `paper` forms of the plan; the MLP takes up what the form's mixer does not use."""
    paper = name == "paper"
    config = ModelConfig(
        variant="paper" if paper else "ten",
        layers=plan.layers,
        width=plan.width,
        eigenstates=plan.eigenstates,
        mlp_width=plan.mlp_width,
        heads=HEADS,
        selective=name != "fixed",
        input_gate=not paper,
        convolution=0 if paper else 4,
        input_scaling=not paper,
        max_memory=float(plan.seq_len),
        positions=plan.seq_len if paper else 0,
    )
    if name == "ten":
        return config
    spare = target_parameters(plan) - parameters(config, VOCABULARY)
    unit = plan.layers * plan.width * (2 if paper else 3)
    return msgspec.structs.replace(config, mlp_width=plan.mlp_width + round(spare / unit))


def target_parameters(plan: Plan) -> int:
    """Parameters of the default model: everybody's size."""
    return parameters(configuration("ten", plan), VOCABULARY)


def build(name: str, plan: Plan) -> LanguageModel | Transformer:
    """A new model by name, within 2% of the default's parameters."""
    if name != "transformer":
        return LanguageModel(configuration(name, plan), VOCABULARY)
    width = plan.width
    others = padded_vocabulary(VOCABULARY) * width + width + plan.layers * (4 * width**2 + 2 * width)
    return Transformer(
        vocabulary=VOCABULARY,
        layers=plan.layers,
        width=width,
        heads=HEADS,
        mlp_width=round((target_parameters(plan) - others) / (plan.layers * 3 * width)),
        seq_len=plan.seq_len,
    )


def corpus() -> tuple[Tensor, Tensor]:
    """Bytes of the standard library's files, each closed by the separator: to train on, and held out (1 in 20)."""
    root = Path(sysconfig.get_paths()["stdlib"])
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if "-packages/" in name or "/test" in f"/{name}" or not path.stat().st_size:
            continue
        held_out = hashlib.sha256(name.encode()).digest()[0] % 20 == 0
        content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).to(torch.int16)
        parts[held_out].extend([content, torch.tensor([SEPARATOR], dtype=torch.int16)])
    return torch.cat(parts[0]), torch.cat(parts[1])


def draw(text: Tensor, plan: Plan, generator: torch.Generator) -> Tensor:
    """(B, T + 1) tokens from random places."""
    places = torch.randint(len(text) - plan.seq_len - 1, (plan.rows, 1), generator=generator)
    return text[places + torch.arange(plan.seq_len + 1)].long()


def train(name: str, plan: Plan, seed: int) -> Result:
    """Train one model on one core and measure it on the text held out."""
    torch.set_num_threads(1)
    text, held_out = corpus()
    torch.manual_seed(seed)
    model = build(name, plan)
    settings = TrainSettings(weight_decay=WEIGHT_DECAY, learning_rate=LEARNING_RATE, beta1=0.9, beta2=0.95)
    optimizer = build_optimizer(model, settings, model.no_decay_names())
    generator = torch.Generator().manual_seed(1000 + seed)
    began = time.perf_counter()
    for step in range(plan.steps):
        decay = 0.1 + 0.45 * (1 + math.cos(math.pi * step / plan.steps))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARMUP) * decay
        loss = model.loss(draw(text, plan, generator)) / (plan.rows * plan.seq_len)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    speed = plan.steps * plan.rows * plan.seq_len / (time.perf_counter() - began)
    bits = bits_by_position(model, held_out, plan)
    overall, early, late = (part.mean().item() for part in (bits, bits[:64], bits[plan.seq_len // 2 :]))
    return Result(name, seed, sum(p.numel() for p in model.parameters()), overall, early, late, speed)


@torch.no_grad()
def bits_by_position(model: LanguageModel | Transformer, held_out: Tensor, plan: Plan) -> Tensor:
    """(T,) mean bits per byte at each position, over the same places for every model and seed."""
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros(plan.seq_len)
    batches = plan.held_out_rows // plan.rows
    for _ in range(batches):
        tokens = draw(held_out, plan, generator)
        logits = model.logits(model(tokens[:, :-1])[0])
        losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        total += losses.view(plan.rows, plan.seq_len).mean(dim=0)
    return total / batches / math.log(2)


def train_all(plan: Plan, seeds: int, jobs: int) -> list[Result]:
    """Every model with every seed, `jobs` at a time, one core each; a line for each that ends."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        runs = [pool.submit(train, name, plan, seed) for seed in range(seeds) for name in NAMES]
        results: list[Result] = []
        for run in as_completed(runs):
            results.append(run.result())
            model, seed, _, bits, *_ = results[-1]
            print(f"{len(results)}/{len(runs)}  {model}, seed {seed}: {bits:.4f} bits/byte held out", flush=True)
    return results


def table(results: list[Result]) -> str:
    """A Markdown table, a line for each model: means over the seeds."""
    header = "| model | parameters | bits/byte | spread | first 64 | last half | tokens/s |"
    lines = [header, "|---|--:|--:|--:|--:|--:|--:|"]
    for name, title in NAMES.items():
        own = [result for result in results if result.model == name]
        _, _, sizes, bits, early, late, speed = zip(*own, strict=True)
        lines.append(
            f"| {title} | {sizes[0]:,} | {mean(bits):.4f} | {max(bits) - min(bits):.4f} "
            f"| {mean(early):.3f} | {mean(late):.3f} | {mean(speed):,.0f} |"
        )
    return "\n".join(lines)


def verdict(results: list[Result]) -> tuple[bool, str]:
    """Whether the targets hold, and the line that says so."""
    bits = {name: mean(r.bits for r in results if r.model == name) for name in NAMES}
    sizes = [result.parameters for result in results]
    ahead, behind = bits["paper"] - bits["ten"], bits["ten"] - bits["transformer"]
    held = ahead >= AHEAD_OF_PAPER and behind <= BEHIND_TRANSFORMER and max(sizes) <= (1 + SAME_SIZE) * min(sizes)
    return held, (
        f"quality: {'ok' if held else 'MISSED'}: default {ahead:+.3f} bits/byte ahead of paper "
        f"(>= {AHEAD_OF_PAPER}), {behind:+.3f} against the transformer (<= +{BEHIND_TRANSFORMER}), "
        f"{bits['fixed'] - bits['ten']:+.3f} ahead of fixed eigenvalues; sizes within {max(sizes) / min(sizes) - 1:.2%}"
    )


def report(plan: Plan, seeds: int, shown: str, summary: str, seconds: float) -> str:
    """A dated report of one run."""
    return (
        f"# Quality at equal parameters and tokens, CPU, {time.strftime('%Y-%m-%d')}\n\n"
        f"`benchmarks/quality.py`, {seeds} seeds, {plan.steps} steps of {plan.rows} x {plan.seq_len} bytes "
        f"({plan.steps * plan.rows * plan.seq_len / 1e6:.1f}M), width {plan.width}, {plan.layers} layers, "
        f"K {plan.eigenstates}; AdamW {LEARNING_RATE}, warm-up {WARMUP}, cosine, clip 1.0, one core each.\n"
        f"Python {platform.python_version()} (its standard library is the text), torch {torch.__version__}, "
        f"{platform.machine()}, {os.cpu_count()} cores; {seconds / 60:.1f} minutes.\n\n"
        f"{shown}\n\n{summary}\n\n"
        "Spread is the largest minus the smallest of the seeds. Small models of source code, early in training: the "
        "order is the finding, not the distance (attention learns late), and long recall is not tested.\n"
    )


def main() -> int:
    """Train, print the table and the summary line; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller models and fewer steps: about 10 minutes")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each model (default 2)")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 2), help="trainings at a time")
    parser.add_argument("--report", type=Path, metavar="PATH", help="write the result there as Markdown")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    began = time.perf_counter()
    results = train_all(plan, options.seeds, options.jobs)
    shown = table(results)
    held, summary = verdict(results)
    print(f"\n{shown}\n")
    if options.report:
        options.report.write_text(report(plan, options.seeds, shown, summary, time.perf_counter() - began))
    print(summary)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
