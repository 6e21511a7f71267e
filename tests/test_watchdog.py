"""The watchdog fires: in real processes that hang in their data, in a step and in their packer."""

import subprocess
import sys
from pathlib import Path

import pytest

from ten.train.checkpoint_files import complete
from ten.train.run_record import Attempt, read_run
from tests.end_to_end.bundle import TINY, Bundle

QUICK = """
import sys, time
from ten.train import heartbeat
heartbeat.LEAST_S, heartbeat.TIMES = 1.0, 2
import ten.trainer
ten.trainer.LEAST_S = 0.5
ten.trainer.read_patience = lambda: type("Patience", (), {"total_s": 0.5})()
from ten import limits
limits.HARD_END_S = 0.3
from ten.cli import main
"""
"""A watchdog of a second, before what hangs is put in place."""
RUN = "\nraise SystemExit(main(sys.argv[1:]))\n"


@pytest.fixture
def bundle(tmp_path: Path, corpus_path: Path) -> Bundle:
    return Bundle(tmp_path / "store", corpus_path, Path("gpt2"))


def _train(bundle: Bundle, fault: str, *sets: str) -> "subprocess.CompletedProcess[str]":
    words = [word for item in ("train.steps=1000", "data.seq_len=64", "run=r", *sets) for word in ("--set", item)]
    command = bundle.command("train", *TINY, *words)[3:]
    return subprocess.run(
        [sys.executable, "-c", QUICK + fault + RUN, *command], capture_output=True, text=True, timeout=120, check=False
    )


def _last(bundle: Bundle) -> Attempt:
    record = read_run(bundle.store / "runs/r/run.json")
    assert record is not None
    return record.attempts[-1]


def _stacks(bundle: Bundle) -> str:
    return (bundle.store / "runs/r/stacks.txt").read_text()


STALL = """
from ten.data.loader import Loader
take, taken = Loader.__next__, []
def stalled(self):
    taken.append(1)
    if len(taken) > 3:
        time.sleep(600)
    return take(self)
Loader.__next__ = stalled
"""


def test_data_that_never_comes_ends_in_a_checkpoint_with_the_stacks_of_both_processes(bundle: Bundle) -> None:
    run = _train(bundle, STALL)
    assert run.returncode == 75, run.stderr
    assert "stopped by watchdog: waiting for data for" in run.stderr
    assert [path.name for path in complete(bundle.store / "runs/r/checkpoints")] == ["step-00000003"]
    last = _last(bundle)
    assert last.to_step == 3 and (last.reason or "").startswith("stopped by watchdog: waiting for data")
    trainer, _, packer = _stacks(bundle).partition("\npacker\n")
    assert "in stalled" in trainer
    assert "packer_process.py" in packer


HANG = """
import ctypes, signal
from ten.train.adamw import AdamW
step, steps = AdamW.step, []
def hung(self):
    steps.append(1)
    if len(steps) > 3:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG, signal.SIGTERM})
        ctypes.CDLL(None).sleep(600)
    return step(self)
AdamW.step = hung
"""


def test_a_step_that_hangs_where_no_signal_reaches_it_is_ended_with_its_reason_in_the_record(bundle: Bundle) -> None:
    run = _train(bundle, HANG, "limits.stop_grace=0.5s", "checkpoint.every=2")
    assert run.returncode == 75, run.stderr
    last = _last(bundle)
    assert last.to_step == 3
    assert "watchdog: training" in (last.reason or "") and "it hung and was ended" in (last.reason or "")
    assert [path.name for path in complete(bundle.store / "runs/r/checkpoints")] == ["step-00000002"]
    assert "in hung" in _stacks(bundle)


FREEZE = """
import os, signal
from ten.data.packer import Packer
heartbeat.START_S = 3.0
request = Packer.request
def frozen(self, *unit, **how):
    os.kill(self._process.pid, signal.SIGSTOP)
    request(self, *unit, **how)
Packer.request = frozen
"""


def test_a_packer_that_froze_does_not_hold_the_trainer(bundle: Bundle) -> None:
    run = _train(bundle, FREEZE, "limits.stop_grace=1s")
    assert run.returncode == 75, run.stderr
    assert "packer\nit does not answer" in _stacks(bundle)


def test_a_run_that_moves_is_left_alone(bundle: Bundle) -> None:
    run = _train(bundle, "heartbeat.LEAST_S = 30.0", "train.steps=6")
    assert run.returncode == 0, run.stderr
    assert not (bundle.store / "runs/r/stacks.txt").exists()


BROKEN = """
import torch
from ten.train.adamw import AdamW
step, steps = AdamW.step, []
def broken(self):
    steps.append(1)
    if len(steps) > 3:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    return step(self)
AdamW.step = broken
"""


def test_a_gpu_that_fails_is_named_and_the_run_goes_on_from_its_checkpoint(bundle: Bundle) -> None:
    run = _train(bundle, BROKEN, "checkpoint.every=2")
    assert run.returncode == 75, run.stderr
    assert "ten: the GPU failed: CUDA error: an illegal memory access" in run.stderr
    assert "Traceback" not in run.stderr
    assert [path.name for path in complete(bundle.store / "runs/r/checkpoints")] == ["step-00000002"]
    assert "the GPU failed" in (_last(bundle).reason or "")


SHORT = """
import torch
from ten.train.adamw import AdamW
def short(self):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7.20 GiB (injected).")
AdamW.prepare = short
"""


def test_an_optimizer_that_does_not_fit_is_named_before_the_first_step_with_the_ways_out(bundle: Bundle) -> None:
    run = _train(bundle, SHORT)
    assert run.returncode == 78, run.stderr
    assert "ten: out of device memory: CUDA out of memory. Tried to allocate 7.20 GiB" in run.stderr
    assert "train.optimizer=adamw8bit" in run.stderr
    assert "Traceback" not in run.stderr
