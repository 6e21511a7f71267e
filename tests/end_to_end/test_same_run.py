"""Whatever mode, machine or misfortune: the same rows, and on one process the same losses, to the bit."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.train.metrics import StepMetrics
from tests.end_to_end.bundle import Bundle


def _rows(metrics: list[StepMetrics]) -> list[str]:
    return [line.rows_sha256 for line in metrics]


def _losses(metrics: list[StepMetrics]) -> list[float]:
    return [line.loss for line in metrics]


def test_undisturbed_run_crosses_eras_and_learns(undisturbed: list[StepMetrics]) -> None:
    assert [line.step for line in undisturbed] == list(range(1, 15))
    assert len(set(_rows(undisturbed))) == 14
    assert undisturbed[-1].loss < undisturbed[0].loss - 0.3
    assert undisturbed[-1].held_out_bits_per_byte is not None


def test_pretok_equals_streaming(bundle: Bundle, undisturbed: list[StepMetrics]) -> None:
    bundle.run("pack", "--set", "data.pack_threads=1")
    metrics = bundle.train("--pretokenized")
    assert (_rows(metrics), _losses(metrics)) == (_rows(undisturbed), _losses(undisturbed))


@pytest.mark.parametrize("threads", ["1", "4"])
def test_full_equals_streaming_for_any_number_of_packer_threads(
    bundle: Bundle, undisturbed: list[StepMetrics], threads: str
) -> None:
    metrics = bundle.train("--full", "--set", f"data.pack_threads={threads}")
    assert (_rows(metrics), _losses(metrics)) == (_rows(undisturbed), _losses(undisturbed))


def test_streaming_with_four_packer_threads_equals_one(bundle: Bundle, undisturbed: list[StepMetrics]) -> None:
    metrics = bundle.train("--streaming", "--set", "data.pack_threads=4")
    assert (_rows(metrics), _losses(metrics)) == (_rows(undisturbed), _losses(undisturbed))


def test_killed_twice_at_random_steps_equals_undisturbed(bundle: Bundle, undisturbed: list[StepMetrics]) -> None:
    first, second = sorted(random.sample(range(1, 9), 2))
    assert bundle.train_and_kill(first, "--streaming") == -signal.SIGKILL
    assert bundle.train_and_kill(second, "--streaming") == -signal.SIGKILL
    metrics = bundle.train("--streaming")
    assert (_rows(metrics), _losses(metrics)) == (_rows(undisturbed), _losses(undisturbed)), (first, second)
    assert metrics[-1].held_out_bits_per_byte == undisturbed[-1].held_out_bits_per_byte


def test_out_of_memory_at_some_step_equals_undisturbed(bundle: Bundle, undisturbed: list[StepMetrics]) -> None:
    command = bundle.command("train", *bundle.training("--streaming"))
    command[1:3] = ["-m", "tests.end_to_end.out_of_memory", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "step 5: out of memory with train.memory at keep; begun anew at select" in done.stderr
    metrics = bundle.metrics()
    assert (_rows(metrics), _losses(metrics)) == (_rows(undisturbed), _losses(undisturbed))
    assert [line.memory for line in metrics] == ["keep"] * 4 + ["select"] * 10


def test_modes_switched_at_every_resume_equal_undisturbed(bundle: Bundle, undisturbed: list[StepMetrics]) -> None:
    assert bundle.train_and_kill(4, "--streaming") == -signal.SIGKILL
    bundle.run("pack")
    assert bundle.train_and_kill(7, "--pretokenized") == -signal.SIGKILL
    metrics = bundle.train("--full")
    assert (_rows(metrics), _losses(metrics)) == (_rows(undisturbed), _losses(undisturbed))


def test_a_signal_saves_the_last_step_and_the_run_goes_on(bundle: Bundle, undisturbed: list[StepMetrics]) -> None:
    never = ("--set", "checkpoint.every=0")
    assert bundle.train_and_kill(3, *never, by=signal.SIGTERM) == 75
    stopped = bundle.metrics()[-1].step
    assert [path.name for path in bundle.store.glob("runs/*/checkpoints/*")] == [f"step-{stopped:08d}"]
    assert bundle.train_and_kill(stopped + 2, *never, by=signal.SIGINT) == 75
    metrics = bundle.train(*never)
    assert (_rows(metrics), _losses(metrics)) == (_rows(undisturbed), _losses(undisturbed))


def test_two_ranks_see_the_rows_of_one(bundle: Bundle, undisturbed: list[StepMetrics], free_port: int) -> None:
    words = bundle.training("--streaming", "--set", "train.micro_batch_rows=4")
    _run_ranks(bundle.command("train", *words), free_port)
    metrics = bundle.metrics()
    assert _rows(metrics) == _rows(undisturbed)
    assert _losses(metrics) == pytest.approx(_losses(undisturbed), rel=1e-4)


def test_one_rank_goes_on_where_two_stopped(
    make_bundle: Callable[[str], Bundle], undisturbed: list[StepMetrics], free_port: int
) -> None:
    bundle = make_bundle("elastic")
    half = [*bundle.training("--streaming", "--set", "train.micro_batch_rows=4"), "--steps", "6"]
    _run_ranks(bundle.command("train", *half), free_port)
    metrics = bundle.train("--streaming", "--set", "train.micro_batch_rows=4")
    assert _rows(metrics) == _rows(undisturbed)


def _run_ranks(command: list[str], port: int) -> None:
    """The command as two ranks, as torchrun would start them."""
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(command, env={**common, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    for rank in ranks:
        _, said = rank.communicate(timeout=180)
        assert rank.returncode == 0, said


def test_the_same_command_after_the_end_changes_nothing(bundle: Bundle) -> None:
    before = bundle.train("--steps", "2")
    done = bundle.run("train", *bundle.training("--steps", "2"))
    assert "finished at step 2" in done.stdout
    assert bundle.metrics() == before


def test_python_entry_point_is_the_same_command(bundle: Bundle) -> None:
    script = Path(sys.executable).with_name("ten")
    assert subprocess.run([script, "--version"], capture_output=True, check=True).stdout.startswith(b"ten ")
