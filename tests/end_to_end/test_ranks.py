"""`ten train` as several processes by itself: stopped, killed and gone on with by any number of them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ten.launch import visible_gpus
from ten.train.metrics import StepMetrics
from tests.end_to_end.bundle import Bundle

_TOLERANCE = 1e-4
"""Of a loss, to that of one process: the ranks add the same gradients in another order."""


class Job:
    """A training by several ranks on its way."""

    def __init__(self, bundle: Bundle, process: "subprocess.Popen[str]") -> None:
        self._bundle, self._process = bundle, process

    def wait_for_step(self, step: int) -> None:
        """Until the metrics have it."""
        deadline = time.monotonic() + 120
        while not any(line.step >= step for line in self._bundle.metrics_so_far()):
            assert self._process.poll() is None, self._process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def send(self, number: signal.Signals, rank: int | None = None) -> None:
        """A signal to one rank, or to the command."""
        os.kill(self._process.pid if rank is None else self._pid(rank), number)

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        said = self._process.communicate(timeout=120)[1]
        return self._process.returncode, said

    def _pid(self, rank: int) -> int:
        parent = self._process.pid
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
        raise AssertionError(f"rank {rank} is not there")


@contextmanager
def ranks(bundle: Bundle, count: int, shard: str, *words: str) -> Iterator[Job]:
    """The standard training by so many ranks."""
    settings = (f"train.ranks={count}", f"train.shard={shard}", f"train.micro_batch_rows={8 // count}")
    sets = [word for setting in settings for word in ("--set", setting)]
    command = bundle.command("train", *bundle.training("--streaming", *sets, *words))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Job(bundle, process)
        finally:
            process.kill()  # its ranks end with it


def _same(ours: list[StepMetrics], alone: list[StepMetrics]) -> None:
    assert [line.rows_sha256 for line in ours] == [line.rows_sha256 for line in alone]
    assert [line.loss for line in ours] == pytest.approx([line.loss for line in alone], rel=_TOLERANCE)
    assert ours[-1].held_out_bits_per_byte == pytest.approx(alone[-1].held_out_bits_per_byte, rel=_TOLERANCE)


SHARDS = ["shard", pytest.param("replicate", marks=pytest.mark.slow)]


@pytest.mark.parametrize("shard", SHARDS)
def test_a_signal_to_one_rank_stops_all_with_75_and_one_process_goes_on(
    bundle: Bundle, undisturbed: list[StepMetrics], shard: str
) -> None:
    with ranks(bundle, 2, shard, "--set", "checkpoint.every=0") as job:
        job.wait_for_step(4)
        job.send(signal.SIGTERM, rank=1)
        code, said = job.end()
    assert code == 75, said
    assert "stopped by SIGTERM after step" in said and "stopped by the stop of another rank after step" in said
    stopped = bundle.metrics()[-1].step
    assert 4 <= stopped < 14
    assert [path.name for path in bundle.store.glob("runs/*/checkpoints/*")] == [f"step-{stopped:08d}"]
    _same(bundle.train("--streaming"), undisturbed)


@pytest.mark.parametrize(
    ("shard", "rank"),
    [("replicate", 1), *(pytest.param(s, r, marks=pytest.mark.slow) for s, r in (("shard", 0), ("shard", 1)))],
)
def test_a_rank_that_is_killed_ends_the_others_at_once_and_the_run_can_go_on(
    bundle: Bundle, undisturbed: list[StepMetrics], shard: str, rank: int
) -> None:
    with ranks(bundle, 2, shard, "--set", "checkpoint.every=1") as job:
        job.wait_for_step(3)
        job.send(signal.SIGKILL, rank)
        killed = time.monotonic()
        code, said = job.end()
    assert code == 75, said
    assert time.monotonic() - killed < 25  # before the launcher would have asked it to
    assert f"rank {rank} was ended by SIGKILL" in said
    assert f"ten: rank {1 - rank} of 2: another rank has ended" in said
    assert "run the same command again to go on" in said
    _same(bundle.train("--streaming"), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("shard", "replicate"), ("replicate", "shard"), ("shard", "shard")])
def test_two_ranks_then_four_then_one_train_as_one_does(
    bundle: Bundle, undisturbed: list[StepMetrics], first: str, second: str
) -> None:
    for count, shard, step in ((2, first, 4), (4, second, 8)):
        with ranks(bundle, count, shard, "--set", "checkpoint.every=0") as job:
            job.wait_for_step(step)
            job.send(signal.SIGTERM)
            code, said = job.end()
        assert code == 75, said
        bundle.verify(0)
    _same(bundle.train("--streaming"), undisturbed)


@pytest.mark.slow
def test_a_run_that_was_shared_out_is_scored_and_sampled_like_any(bundle: Bundle) -> None:
    with ranks(bundle, 2, "shard", "--steps", "3") as job:
        assert job.end()[0] == 0
    (run,) = bundle.store.glob("runs/*")
    for verb in (["eval", str(run), "--json"], ["generate", str(run), "--max-tokens", "4"]):
        command = [bundle.command("train")[0], "-m", "ten.cli", *verb, "--store", str(bundle.store)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


ON_GPUS = ("--set", "train.device=cuda", "--set", "train.precision=fp32")


@pytest.fixture
def two_gpus() -> None:
    if visible_gpus() < 2:
        pytest.skip("needs two GPUs")


@pytest.mark.gpu
@pytest.mark.parametrize("shard", ["shard", "replicate"])
def test_two_gpus_stop_go_on_and_train_as_one_does(
    two_gpus: None, bundle: Bundle, make_bundle: Callable[[str], Bundle], shard: str
) -> None:
    alone = make_bundle("alone").train("--streaming", *ON_GPUS)
    with ranks(bundle, 2, shard, "--set", "checkpoint.every=0", *ON_GPUS) as job:
        job.wait_for_step(4)
        job.send(signal.SIGTERM, rank=1)
        code, said = job.end()
    assert code == 75, said
    with ranks(bundle, 2, shard, *ON_GPUS) as job:
        code, said = job.end()
    assert code == 0, said
    _same(bundle.metrics(), alone)


@pytest.mark.gpu
@pytest.mark.parametrize("shard", ["shard", "replicate"])
def test_a_gpu_whose_rank_is_killed_does_not_hold_the_other_up(two_gpus: None, bundle: Bundle, shard: str) -> None:
    limits = ("--set", "limits.stop_grace=20s", "--set", "checkpoint.every=1")
    with ranks(bundle, 2, shard, *limits, *ON_GPUS) as job:
        job.wait_for_step(3)
        job.send(signal.SIGKILL, rank=1)
        code, said = job.end()
    assert code == 75, said
    assert "rank 1 was ended by SIGKILL" in said
