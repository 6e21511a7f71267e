"""Compilation: blocks compiled behind a run's back, and used from a step on if its steps are shorter then (torch)."""

from __future__ import annotations

import logging
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import torch

from ten.train.backward import Autocast, Backward
from ten.train.compile_cache import machine_name, set_folder
from ten.train.compile_process import CompileResult, CompileTask, first_line, limit_threads
from ten.train.device import autocast, device_name, resolve_compile, resolve_precision
from ten.train.distributed import World
from ten.train.rehearsal import compile_blocks, compiling_nothing_new, rehearse, run_eagerly
from ten.train.settings import TrainSettings

if TYPE_CHECKING:
    from ten.model.lm import LanguageModel
    from ten.model.memory import Level

log = logging.getLogger(__name__)

MEASURED_STEPS = 5
_WORTH_WAITING_S = 1800.0
"""Time left in a run for which compiling in the trainer, where it holds training up, can still pay."""
Course = Generator[None, float, None]


def open_compilation(
    settings: TrainSettings,
    model: LanguageModel,
    world: World,
    backward: Backward,
    *,
    seq_len: int,
    cache_dir: Path,
    store: str,
) -> Compilation | None:
    """What compiles the blocks of `model` for the micro-batches of `settings`; None where `train.compile` says so.

    `backward` is the one of training. The reference backend of the scan is left alone: its loop over time would unroll
    into the graph. The cache lies below `cache_dir`, and a copy of it in the `store` where that is no folder.
    """
    if not resolve_compile(settings.compile, world.device) or model.config.backend == "reference":
        return None
    if world.in_step:  # its blocks are of a class that `fully_shard` makes, which no rehearsal can meet
        log.info("train.compile: a model that is shared out over ranks trains eagerly")
        return None
    precision = resolve_precision(settings.precision, world.device, settings.weights)
    name = device_name(world.device)
    if world.device.type == "cpu":
        name += f"-{torch.backends.cpu.get_cpu_capability()}"  # the instructions that code for one CPU may use
    machine = machine_name(name, torch.__version__, torch.version.cuda)
    task = CompileTask(
        model=model.config,
        rows=settings.micro_batch_rows,
        seq_len=seq_len,
        precision=precision,
        level=backward.level,
        segment=settings.segment,
        device=str(world.device),
        threads=torch.get_num_threads(),
        machine=machine,
        folder=str(cache_dir.absolute() / "compiled" / machine),
        store=store if store.startswith("s3://") else None,
        publishes=world.is_first,
    )
    return Compilation(model, task, world, partial(autocast, precision, world.device), level=lambda: backward.level)


class CompileProcess:
    """The process that fills the compile cache; it dies with the trainer."""

    def __init__(self, task: CompileTask) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ten.train.compile_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already: `result` says so
            self._process.stdin.write(msgspec.json.encode(task) + b"\n")
            self._process.stdin.flush()

    @property
    def is_done(self) -> bool:
        """Whether `result` is there."""
        return self._process.poll() is not None

    def result(self) -> CompileResult:
        """How it went, once it is done."""
        assert self._process.stdout is not None
        words = self._process.stdout.read()
        try:
            return msgspec.json.decode(words, type=CompileResult)
        except msgspec.DecodeError:
            return CompileResult(seconds=0.0, error=f"the process ended with {self._process.returncode} and no word")

    def close(self) -> None:
        """End it and all that it has started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


class Compilation:
    """The course of `train.compile`, one `after_step` a step; on every rank, which take each turn together.

    After the first step, when memory has had its peak, a process of its own compiles one block into the cache on disk.
    When that is there a few more steps are timed, the trainer takes the block from the cache, and as many compiled
    steps are timed. The faster kind stays. A failure is a warning, and the run goes on eagerly.
    """

    def __init__(
        self,
        model: LanguageModel,
        task: CompileTask,
        world: World,
        autocast: Autocast,
        level: Callable[[], Level] | None = None,
    ) -> None:
        """`level` says at which level of memory training is when the compiling begins; None: at the task's."""
        self._model, self._task, self._world, self._autocast = model, task, world, autocast
        self._level = level or (lambda: task.level)
        self._process: CompileProcess | None = None
        self._left: float | None = None
        self._compiler = ExitStack()
        self._course: Course | None = self._run()
        next(self._course)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, and leave the blocks as they were found."""
        self._course = None
        if self._process is not None:
            self._process.close()
        run_eagerly(self._model.blocks)
        self._compiler.close()

    @property
    def is_settled(self) -> bool:
        """Whether nothing will change any more."""
        return self._course is None

    def after_step(self, seconds: float, seconds_left: float | None) -> None:
        """A step took so long, and so much of the run is left."""
        if self._course is None:
            return
        self._left = seconds_left
        try:
            self._course.send(seconds)
        except StopIteration:
            self._course = None

    def _run(self) -> Course:
        yield  # the first step
        if not (yield from self._prepare()):
            return
        eager = yield from self._median()
        if not self._all(self._take_over()):
            run_eagerly(self._model.blocks)
            return
        yield  # the first compiled step settles in
        compiled = yield from self._median()
        stays = bool(self._world.from_first(int(compiled < eager)))
        if not stays:
            run_eagerly(self._model.blocks)
        self._say(
            "a step takes %.3f s eagerly and %.3f s compiled: training goes on %s",
            eager, compiled, "compiled" if stays else "eagerly",
        )  # fmt: skip

    def _prepare(self) -> Generator[None, float, bool]:
        """Have the cache filled; whether it is worth taking over."""
        result = CompileResult(seconds=0.0)
        self._task = msgspec.structs.replace(self._task, level=self._level())  # the first step may have lowered it
        try:
            self._process = CompileProcess(self._task) if self._is_to_compile else None
        except OSError as error:  # no room for another process
            result = CompileResult(seconds=0.0, error=first_line(error))
        while not self._all(self._process is None or self._process.is_done):
            yield
        if self._process is not None:
            result = self._process.result()
        if result.error is None:
            self._say("the blocks are compiled, in %.0f s beside training", result.seconds)
        elif result.lacks_memory and (self._left or 0.0) > _WORTH_WAITING_S:
            log.info("compiling the blocks holds training up for once: %s", result.error)
        else:
            log.warning("the blocks are not compiled, training goes on eagerly: %s", result.error)
            return self._all(False)
        return self._all(True)

    @property
    def _is_to_compile(self) -> bool:
        """Whether this rank has a process: code for a GPU is kept under the GPU's number."""
        return self._world.local_rank == 0 or self._world.device.type == "cuda"

    def _take_over(self) -> bool:
        """Compile here what the cache has, and let the blocks use it from the next step on."""
        os.environ.update(set_folder(Path(self._task.folder)))
        limit_threads()
        task, device = self._task, self._world.device
        try:
            backward = Backward((task.level,), task.segment)
            rehearse(task.model, backward, rows=task.rows, seq_len=task.seq_len, device=device, autocast=self._autocast)
        except Exception as error:  # whatever a compiler may raise: the eager model is sound
            log.warning("the blocks do not compile, training goes on eagerly: %s", first_line(error))
            return False
        self._compiler.enter_context(compiling_nothing_new())
        compile_blocks(self._model.blocks)
        return True

    def _median(self) -> Generator[None, float, float]:
        """Seconds of a step: the median of the next few."""
        seconds = []
        for _ in range(MEASURED_STEPS):
            seconds.append((yield))
        return statistics.median(seconds)

    def _all(self, mine: bool) -> bool:
        """Whether it is so on every rank."""
        others = torch.tensor([0 if mine else 1], dtype=torch.int64, device=self._world.device)
        return not self._world.sum(others).item()

    def _say(self, words: str, *values: object) -> None:
        if self._world.is_first:
            log.info(words, *values)
