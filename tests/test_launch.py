"""One command is one process a GPU: who is started where, who hears of a stop, and what code is left of theirs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ten import launch
from ten.errors import SpecError
from ten.launch import exit_code, ranks_here, ranks_on, visible_gpus
from ten.train.settings import TrainSettings

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def as_rank(monkeypatch: pytest.MonkeyPatch, folder: Path, lines: str) -> None:
    """Have `launch` start a shell script instead of Python."""
    script = folder / "rank"
    script.write_text(f"#!/bin/sh\ncd {folder}\n{lines}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


@pytest.mark.parametrize(
    ("ranks", "device", "gpus", "started"),
    [
        ("auto", "auto", 0, 1), ("auto", "auto", 1, 1), ("auto", "auto", 8, 8), ("auto", "cuda", 4, 4),
        ("auto", "cpu", 8, 1), ("auto", "cuda:3", 8, 1), (2, "auto", 8, 2), (2, "auto", 0, 2), (3, "cpu", 1, 3),
        (1, "cuda:3", 8, 1), (1, "auto", 8, 1),
    ],
)  # fmt: skip
def test_every_gpu_is_used_unless_the_job_says_otherwise(
    ranks: int | str, device: str, gpus: int, started: int
) -> None:
    assert ranks_on(TrainSettings(ranks=ranks, device=device), gpus) == started  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ranks", "device", "gpus", "said"),
    [(4, "auto", 2, "this machine shows 2"), (2, "cuda", 0, "shows 0"), (2, "cuda:1", 8, "cannot share train.device")],
)
def test_more_processes_than_gpus_are_refused(ranks: int, device: str, gpus: int, said: str) -> None:
    with pytest.raises(SpecError, match=rf"train\.ranks: {ranks} .*{said}"):
        ranks_on(TrainSettings(ranks=ranks, device=device), gpus)


def test_a_rank_of_torchrun_starts_no_further_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ranks_here(TrainSettings(ranks=4, device="cpu")) == 4
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert ranks_here(TrainSettings(ranks=4, device="cpu")) == 1


@pytest.mark.parametrize(
    ("named", "count"), [(None, 3), ("0,1", 2), ("", 0), ("-1", 0), ("0,-1,1", 1), ("GPU-1a,GPU-2b", 2), ("0,1,2,3", 3)]
)
def test_gpus_are_counted_by_their_device_files_and_what_cuda_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, count: int
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus(tmp_path, tmp_path / "driver") == count


def test_a_gpu_counts_that_the_driver_knows_and_nobody_has_used_yet(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"driver/gpus/0000:0{number}:00.0").mkdir(parents=True)
    assert visible_gpus(tmp_path, tmp_path / "driver") == 2


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], 0), ([75, 75], 75), ([0, 75], 75), ([-9, 75], 75), ([75, -15], 75), ([73, 75], 73), ([75, 1, 73], 1),
        ([-11, 75], 139), ([0, -9, 78], 78), ([75, -6], 75), ([78, -6], 78), ([-6, 75], 134), ([0, -6], 134),
        ([130, 75], 75), ([143, 143], 75), ([130, 73], 73),
    ],
)  # fmt: skip
def test_the_first_error_is_the_code_of_all_and_what_can_go_on_is_75(codes: list[int], code: int) -> None:
    assert exit_code(codes) == code


def test_the_words_reach_every_rank_and_its_code_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    assert launch.launch(["--version"], 2, grace_s=1) == 0
    assert capfd.readouterr().out.count("ten ") == 2
    assert launch.launch(["train", "nosuch.yaml"], 2, grace_s=1) == 66


def test_every_rank_gets_torchruns_variables_and_its_part_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    words = "$WORLD_SIZE $LOCAL_WORLD_SIZE $RANK $LOCAL_RANK $MASTER_ADDR $OMP_NUM_THREADS"
    as_rank(monkeypatch, tmp_path, f"echo {words} > $RANK\necho $MASTER_PORT >> ports")
    assert launch.launch([], 2, grace_s=1) == 0
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert [(tmp_path / str(rank)).read_text().split() for rank in range(2)] == [
        ["2", "2", str(rank), str(rank), "127.0.0.1", str(threads)] for rank in range(2)
    ]
    assert len(set((tmp_path / "ports").read_text().split())) == 1


def test_a_rank_that_goes_on_alone_is_asked_to_stop_and_then_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    as_rank(monkeypatch, tmp_path, "[ $RANK = 1 ] && exit 3\ntrap 'echo > asked' TERM\nwhile :; do sleep 0.05; done")
    monkeypatch.setattr(launch, "_LEAVE_S", 0.5)
    assert launch.launch([], 2, grace_s=0.5) == 3
    assert (tmp_path / "asked").exists()
    assert "rank 0: goes on though another has ended" in caplog.text
    assert "rank 0 was ended by SIGKILL" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_command_reaches_every_rank_and_its_death_too(tmp_path: Path, number: signal.Signals) -> None:
    ready = [tmp_path / f"ready{rank}" for rank in range(2)]
    stopped = [tmp_path / f"stopped{rank}" for rank in range(2)]
    script = tmp_path / "rank"
    script.write_text(
        f"#!/bin/sh\ncd {tmp_path}\ntrap 'echo > stopped$RANK; exit 75' TERM INT\necho > ready$RANK\n"
        "while :; do sleep 0.05; done\n"
    )
    script.chmod(0o755)
    code = (
        f"import sys\nfrom ten.launch import launch\nsys.executable = {str(script)!r}\n"
        "sys.exit(launch([], 2, grace_s=5))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    _wait_for(ready)
    process.send_signal(number)
    assert process.wait(30) == (-number if number == signal.SIGKILL else 75)
    _wait_for(stopped)


def _wait_for(paths: list[Path]) -> None:
    deadline = time.monotonic() + 30
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, paths
        time.sleep(0.02)
