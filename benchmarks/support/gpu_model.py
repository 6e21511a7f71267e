"""gpu.py's sections on whole models: training speed beside a transformer's, levels of memory, decoding."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.support.gpu_bench import Bench, require_gpu
from benchmarks.support.gpu_report import Cell, NotMeasured
from benchmarks.support.transformer import Transformer
from ten.model.cost import flops_per_token, parameters
from ten.model.decode import Decoder
from ten.model.lm import LanguageModel
from ten.model.memory import LEVELS
from ten.model.presets import PRESETS, ModelConfig, ModelSettings, resolve
from ten.train.adamw import AdamW
from ten.train.backward import Backward as Passes
from ten.train.device import lacks_memory

MODEL_COLUMNS = ("preset", "model", "parameters", "B", "T", "kept", "blocks", "tokens/s", "MFU", "GiB", "× transformer")
MEMORY_COLUMNS = ("preset", "T", "level", "tokens/s", "MFU", "GiB")
DECODE_COLUMNS = ("preset", "B", "context", "eager ms", "graph ms", "graph tokens/s")
VOCABULARY, MICRO_BATCH_TOKENS = 50257, 32768
COMPILED_PRESETS = ("small", "large")
MEMORY_PRESET = DECODE_PRESET = "large"
CONTEXTS = (1024, 100 * 1024)
_PREFILL = 4096
_HEAD_WIDTHS = (128, 64, 80, 40, 16)
Autocast = Callable[[], AbstractContextManager[None]]
Backward = Callable[[Any, Tensor, Tensor, Autocast], object]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A preset as it is trained here."""

    preset: str
    config: ModelConfig
    rows: int
    seq_len: int
    vocabulary: int


def tasks(bench: Bench) -> Iterator[Task]:
    """The presets at their default lengths, about 32,768 tokens in a micro-batch; with --quick one toy."""
    if bench.quick:
        config = resolve(ModelSettings(config="nano", width=32, eigenstates=8, layers=2))
        yield Task(preset="toy", config=config, rows=2, seq_len=48, vocabulary=300)
        return
    for name, preset in PRESETS.items():
        rows = max(1, MICRO_BATCH_TOKENS // preset.seq_len)
        config = resolve(ModelSettings(config=name))
        yield Task(preset=name, config=config, rows=rows, seq_len=preset.seq_len, vocabulary=VOCABULARY)


def task_named(bench: Bench, name: str) -> Task:
    """The preset's task; with --quick the toy."""
    return next(task for task in tasks(bench) if bench.quick or task.preset == name)


def models(bench: Bench, *, compiled: bool = False) -> Iterator[tuple[Cell, ...]]:
    """Optimizer steps of every preset and of a transformer of its size, each at the fastest level that fits."""
    if compiled:
        require_gpu(bench)
    for task in tasks(bench):
        if compiled and not bench.quick and task.preset not in COMPILED_PRESETS:
            continue
        rates: dict[str, float] = {}
        for kind in ("transformer", "ten"):
            if bench.left_s < 8:
                raise NotMeasured(f"out of time before {task.preset}")
            level, rate = _fastest_that_fits(bench, task, kind, compiled)
            if rate:
                rates[kind] = rate
            size, flops = _size(task, kind)
            times = rates["ten"] / rates["transformer"] if kind == "ten" and len(rates) == 2 else None
            yield (
                task.preset, kind, size, task.rows, task.seq_len, level, "compiled" if compiled else "eager",
                rate, bench.mfu(rate, flops) if rate else None, bench.peak_gib, times,
            )  # fmt: skip


def memory(bench: Bench) -> Iterator[tuple[Cell, ...]]:
    """What each level of train.memory costs and saves."""
    task = task_named(bench, MEMORY_PRESET)
    flops = flops_per_token(task.config, task.vocabulary)
    for level in levels("ten"):
        if bench.left_s < 5:
            raise NotMeasured(f"out of time before {level}")
        rate = _tokens_per_s(bench, task, "ten", level, compiled=False)
        what = "out of memory" if rate is None else rate
        yield (task.preset, task.seq_len, level, what, bench.mfu(rate, flops) if rate else None, bench.peak_gib)


def decoding(bench: Bench) -> Iterator[tuple[Cell, ...]]:
    """A token at a time after a short and a long context: fp32 weights, one row."""
    task = task_named(bench, DECODE_PRESET)
    with torch.device(bench.device):
        model = LanguageModel(task.config, task.vocabulary).eval()
    for context in (16, 64) if bench.quick else CONTEXTS:
        if bench.left_s < 5:
            raise NotMeasured(f"out of time before {context} tokens of context")
        carry = _read(bench, model, context)
        token = torch.zeros(1, 1, dtype=torch.int64, device=bench.device)
        with torch.no_grad():
            eager = bench.seconds(lambda: model.logits(model(token, None, carry)[0][:, -1]), least=10)  # noqa: B023
        decoder = Decoder(model, carry)
        replayed = bench.seconds(lambda: decoder.step(token[:, 0]), least=20)  # noqa: B023
        yield (task.preset, 1, context, eager * 1e3, replayed * 1e3 if bench.is_gpu else None, 1 / replayed)


@torch.no_grad()
def _read(bench: Bench, model: LanguageModel, context: int) -> Any:
    """The carry after so many random tokens."""
    carry = None
    for start in range(0, context, _PREFILL):
        length = min(_PREFILL, context - start)
        tokens = torch.randint(0, model.vocabulary, (1, length), device=bench.device)
        with bench.autocast():
            _, carry = model(tokens, None, carry)
    return carry


def levels(kind: str) -> dict[str, Backward]:
    """Ways to run a micro-batch forward and backward, fastest first: the levels of train.memory that there are."""
    if kind == "transformer":
        return {"keep": partial(_whole, recompute=False), "recompute": partial(_whole, recompute=True)}
    return {level: Passes((level,)) for level in LEVELS}


def _whole(model: Any, tokens: Tensor, _starts: Tensor, autocast: Autocast, *, recompute: bool) -> None:
    model.recompute = recompute
    with autocast():
        loss = model.loss(tokens)
    loss.backward()


def _size(task: Task, kind: str) -> tuple[int, float]:
    """Parameters, and operations a token of training; attention's own are counted, half of its square masked."""
    size, flops = parameters(task.config, task.vocabulary), flops_per_token(task.config, task.vocabulary)
    if kind == "ten":
        return size, flops
    attention = 6 * task.config.layers * task.config.width * task.seq_len
    with torch.device("meta"):
        size = sum(p.numel() for p in _transformer(task).parameters())
    return size, 6 * size + attention


def _transformer(task: Task) -> Transformer:
    """As many layers of the same width, with hidden units for as many parameters."""
    config, width = task.config, task.config.width
    tables = parameters(msgspec.structs.replace(config, layers=1), task.vocabulary)
    layer = parameters(msgspec.structs.replace(config, layers=2), task.vocabulary) - tables
    mlp_width = max(64, round((layer - 4 * width**2) / (3 * width) / 64) * 64)
    heads = width // next((head for head in _HEAD_WIDTHS if width % head == 0), width)
    return Transformer(
        vocabulary=task.vocabulary, layers=config.layers, width=width, heads=heads, mlp_width=mlp_width,
        seq_len=task.seq_len,
    )  # fmt: skip


def _fastest_that_fits(bench: Bench, task: Task, kind: str, compiled: bool) -> tuple[str, float | None]:
    for level in levels(kind):
        if bench.left_s < 8:
            return "out of time", None
        rate = _tokens_per_s(bench, task, kind, level, compiled=compiled)
        if rate is not None:
            return level, rate
    return "does not fit", None


def _tokens_per_s(bench: Bench, task: Task, kind: str, level: str, *, compiled: bool) -> float | None:
    """Rate of whole optimizer steps with one micro-batch; None where memory is too short."""
    bench.forget()
    try:
        step = _Step(bench, task, kind, levels(kind)[level], compiled)
        taken = bench.seconds(step, aim_s=2.0)
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        return None
    return task.rows * task.seq_len / taken


class _Step:
    """One optimizer step on random tokens, documents of a thousand tokens or so."""

    def __init__(self, bench: Bench, task: Task, kind: str, backward: Backward, compiled: bool) -> None:
        torch.manual_seed(0)
        with torch.device(bench.device):
            self.model = LanguageModel(task.config, task.vocabulary) if kind == "ten" else _transformer(task)
            self.tokens = torch.randint(0, task.vocabulary, (task.rows, task.seq_len + 1))
            self.starts = torch.rand(task.rows, task.seq_len) < 1e-3
        if compiled:
            from ten.train.rehearsal import compile_blocks

            compile_blocks(self.model.blocks)
        groups = [{"params": list(self.model.parameters()), "weight_decay": 0.1}]
        self.optimizer = AdamW(groups, lr=1e-4, betas=(0.9, 0.95), eps=1e-8)
        self.backward, self.bench = backward, bench
        self.attention = SDPBackend.FLASH_ATTENTION if bench.is_gpu else SDPBackend.MATH

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        with sdpa_kernel(self.attention):
            self.backward(self.model, self.tokens, self.starts, self.bench.autocast)
        self.optimizer.step()
