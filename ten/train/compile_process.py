"""The compile process's own end: fills the compile cache on disk beside the trainer, and says how that went.

`python -m ten.train.compile_process` reads a CompileTask from stdin, a line of JSON, and writes a CompileResult to
stdout. When stdin closes the trainer has ended, and so does this process with all that it has started.
"""

import contextlib
import hashlib
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from ten.errors import TenError
from ten.model.memory import Level
from ten.model.presets import ModelConfig
from ten.store.opening import open_store
from ten.store.s3_settings import read_settings
from ten.train.compile_cache import fetch, send, set_folder

log = logging.getLogger(__name__)

_NICENESS = 10
_MAX_THREADS = 8
_SPARE = 0.1
"""Of the device's memory, the part left to the trainer on top of what it has already taken."""


class CompileTask(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compiled, and where it is kept."""

    model: ModelConfig
    rows: int
    seq_len: int
    precision: Literal["fp32", "bf16"]
    level: Level
    """Of `train.memory`: what the backward pass finds kept is in the compiled code."""
    segment: int
    device: str
    threads: int
    """Of torch: the CPU's code is compiled for their number."""
    machine: str
    """`machine_name`."""
    folder: str
    """The compile cache of such machines."""
    store: str | None = None
    """Address of an object store with copies of it."""
    publishes: bool = True
    """Whether this process may write there."""

    @property
    def key(self) -> str:
        """Name in a store of what this task compiles."""
        what = (self.model, self.rows, self.seq_len, self.precision, self.level, self.segment, self.threads)
        return f"compiled/{self.machine}/{hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:16]}"


class CompileResult(msgspec.Struct, frozen=True, kw_only=True):
    """How it went."""

    seconds: float
    error: str | None = None
    """In a line; None where all is in the cache."""
    lacks_memory: bool = False
    """Whether the device's memory was too short for this process beside the trainer."""


def main() -> None:
    """Compile what stdin asks for."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they may reach the whole group; the trainer decides
        signal.signal(number, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return
    threading.Thread(target=_end_with_trainer, daemon=True).start()
    os.nice(_NICENESS)
    task = msgspec.json.decode(line, type=CompileTask)
    os.environ.update(set_folder(Path(task.folder)))
    limit_threads()
    result = _compile(task)
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    sys.stdout.buffer.flush()


def limit_threads() -> None:
    """Leave half of the processors to others than torch's compiler, unless the environment says otherwise."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(min(_MAX_THREADS, max(1, (os.cpu_count() or 1) // 2))))


def _end_with_trainer() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _compile(task: CompileTask) -> CompileResult:
    begun = time.monotonic()
    try:
        Path(task.folder).mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):
            known = _load(task)
            _rehearse(task)
            _publish(task, known)
    except Exception as error:  # whatever a compiler may raise: the trainer says it and goes on
        from ten.train.device import lacks_memory

        short = lacks_memory(error)
        words = "no room on the device beside the trainer" if short else first_line(error)
        return CompileResult(seconds=time.monotonic() - begun, error=words, lacks_memory=short)
    return CompileResult(seconds=time.monotonic() - begun)


def first_line(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no words'])[0]}"


def _rehearse(task: CompileTask) -> None:
    import torch

    from ten.train.backward import Backward
    from ten.train.device import autocast
    from ten.train.rehearsal import rehearse

    device = torch.device(task.device)
    torch.set_num_threads(task.threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        free, total = torch.cuda.mem_get_info(device)
        torch.cuda.set_per_process_memory_fraction(max(0.0, free / total - _SPARE), device)
    backward = Backward((task.level,), task.segment)
    context = partial(autocast, task.precision, device)
    rehearse(task.model, backward, rows=task.rows, seq_len=task.seq_len, device=device, autocast=context)


def _load(task: CompileTask) -> bytes | None:
    """Bring the store's copy into the cache; nothing, and no error, where it has none or does not answer."""
    import torch

    if task.store is None:
        return None
    try:
        artifacts = fetch(open_store(task.store), task.key, read_settings(task.store).keys.secret)
    except TenError as error:
        log.warning("the compile cache in %s was not read: %s", task.store, error)
        return None
    if artifacts is not None:
        torch.compiler.load_cache_artifacts(artifacts)
    return artifacts


def _publish(task: CompileTask, known: bytes | None) -> None:
    """Send to the store what it lacks."""
    import torch

    if task.store is None or not task.publishes or (known is not None and not _missed()):
        return
    saved = torch.compiler.save_cache_artifacts()
    if saved is None:
        return
    try:
        send(open_store(task.store), task.key, read_settings(task.store).keys.secret, saved[0])
    except TenError as error:
        log.warning("the compile cache was not sent to %s: %s", task.store, error)


def _missed() -> int:
    """Graphs that were not in the cache."""
    from torch._dynamo.utils import counters

    return int(counters["inductor"]["fxgraph_cache_miss"])


if __name__ == "__main__":
    main()
