"""Every limit fires: in a process of its own, with a small limit, and with everything saved."""

import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from ten.errors import SpecError
from ten.job import JobSpec, LimitSettings, load_job
from ten.limits import budgeted, limited, watched
from ten.train.checkpoint_files import complete
from ten.train.run_record import now, read_run, write_run
from ten.train.stopping import Interrupted, StopRequest
from tests.end_to_end.bundle import TINY, Bundle

FIRED = {"max_duration", "max_cost", "idle", "stop_grace"}
"""Each has a test below."""


def _run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def bundle(tmp_path: Path, corpus_path: Path) -> Bundle:
    return Bundle(tmp_path / "store", corpus_path, Path("gpt2"))


def _endless(bundle: Bundle, *sets: str) -> list[str]:
    """A training that only a limit ends."""
    words = [word for item in ("train.steps=1000000", "data.seq_len=64", "run=r", *sets) for word in ("--set", item)]
    return bundle.command("train", *TINY, *words)


def test_every_limit_is_seen_firing() -> None:
    assert set(LimitSettings.__struct_fields__) == FIRED


def test_a_limit_asks_for_a_stop_and_the_first_signal_after_it_is_no_second_one() -> None:
    run = _run("""
import os, signal, time
from ten.limits import limited
from ten.job import load_job
from ten.train.stopping import StopRequest
stop = StopRequest()
with limited(load_job(None, {}, ["limits.max_duration=0.1s"]), stop), stop.handling():
    while not stop():
        time.sleep(0.01)
    time.sleep(0.7)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    print(stop.reason)
""")
    assert run.stdout.strip() == "limits.max_duration=0.1s", run.stderr


def test_a_limit_ends_what_nobody_polls() -> None:
    run = _run("""
import time
from ten.cli import main
from ten.job import load_job
from ten.limits import limited
from ten.train.stopping import StopRequest
import ten.run
def train(spec):
    with limited(load_job(None, {}, ["limits.max_duration=0.3s"]), StopRequest()):
        time.sleep(60)
ten.run.train = train
raise SystemExit(main(["train"]))
""")
    assert run.returncode == 75
    assert "limits.max_duration=0.3s is over" in run.stderr


def test_max_duration_ends_a_pack_too() -> None:
    run = _run("""
import time
from ten.cli import main
import ten.feeding
ten.feeding.pack = lambda job, **given: time.sleep(60)
raise SystemExit(main(["pack", "--set", "limits.max_duration=0.3s"]))
""")
    assert run.returncode == 75, run.stderr
    assert "limits.max_duration=0.3s is over" in run.stderr


def test_idleness_ends_a_wait_for_data() -> None:
    spec, stop = load_job(None, {}, ["limits.idle=0.2s"]), StopRequest()
    begun = time.monotonic()
    with (
        stop.handling(),
        watched(spec, stop),
        pytest.raises(Interrupted, match=r"limits.idle=0.2s"),
        stop.interrupting(),
    ):
        time.sleep(60)
    assert time.monotonic() - begun < 30
    assert stop.reason == "limits.idle=0.2s"
    assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL


def test_idleness_leaves_alone_who_polls() -> None:
    spec, stop = load_job(None, {}, ["limits.idle=0.4s"]), StopRequest()
    with stop.handling(), watched(spec, stop):
        for _ in range(12):
            time.sleep(0.1)
            assert not stop()


def test_a_training_whose_data_stalls_is_saved_and_left(bundle: Bundle) -> None:
    stalling = """
import sys, time
from ten.cli import main
from ten.data.loader import Loader
take, taken = Loader.__next__, []
def stall(self):
    taken.append(1)
    if len(taken) > 3:
        time.sleep(600)
    return take(self)
Loader.__next__ = stall
raise SystemExit(main(sys.argv[1:]))
"""
    words = _endless(bundle, "limits.idle=1s")[3:]
    run = subprocess.run([sys.executable, "-c", stalling, *words], capture_output=True, text=True, timeout=120)
    assert run.returncode == 75, run.stderr
    assert "stopped by limits.idle=1s after step 3" in run.stderr
    assert [path.name for path in complete(bundle.store / "runs/r/checkpoints")] == ["step-00000003"]


def test_a_process_that_hangs_beyond_its_grace_is_ended_with_its_stacks() -> None:
    run = _run("""
import time
from ten import limits
from ten.job import load_job
from ten.train.stopping import StopRequest
limits.HARD_END_S = 0.2
def hang():
    time.sleep(600)
stop = StopRequest()
with stop.handling(), limits.watched(load_job(None, {}, ["limits.idle=0.1s", "limits.stop_grace=0.2s"]), stop):
    hang()
""")
    assert run.returncode == 75
    assert "in hang" in run.stderr


def test_a_run_stops_when_its_attempts_have_cost_enough_and_begins_no_other(bundle: Bundle) -> None:
    words = ["resources.price_per_hour=3600", "limits.max_cost=8"]  # a dollar a second
    run = subprocess.run(_endless(bundle, *words), capture_output=True, text=True, timeout=120)
    assert run.returncode == 75, run.stderr
    assert "limits.max_cost=8" in run.stderr
    record = read_run(bundle.store / "runs/r/run.json")
    assert record is not None
    assert record.attempts[-1].reason is not None
    assert "limits.max_cost=8" in record.attempts[-1].reason
    assert record.attempts[-1].reason.endswith("raise limits.max_cost, then run the same command again to go on")
    assert 7 <= record.cost < 60
    again = subprocess.run(
        _endless(bundle, *words[:1], "limits.max_cost=7"), capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 78
    assert "the attempts so far have cost" in again.stderr


def test_a_killed_attempt_costs_up_to_its_last_sign_of_life(bundle: Bundle, tmp_path: Path) -> None:
    from ten.train.run_record import RunRecord

    record = RunRecord(run="r", created=now(), spec={}, total_tokens=1)
    for hours in (1, 2):
        record = record.begin(
            started=now() - timedelta(hours=hours), device="d", mode="m", world_size=1, from_step=0, price_per_hour=1.5
        )
        record = record.seen() if hours == 2 else record.end(to_step=1, reason="SIGTERM")
    write_run(tmp_path / "run.json", record)
    read = read_run(tmp_path / "run.json")
    assert read is not None
    assert read.attempts[1].ended is None
    assert read.cost == pytest.approx(4.5, abs=0.01)
    assert msgspec.structs.replace(read, attempts=()).cost == 0


def test_what_was_used_before_the_budget_was_known_counts() -> None:
    spec, stop = load_job(None, {}, ["limits.max_cost=60", "resources.price_per_hour=3600"]), StopRequest()
    with stop.handling(), budgeted(spec, stop, spent=40.0, since=now() - timedelta(seconds=30)):
        deadline = time.monotonic() + 10
        while not stop():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert stop.reason == "limits.max_cost=60"


def test_a_budget_needs_a_price() -> None:
    with (
        pytest.raises(SpecError, match=r"resources.price_per_hour=1.57"),
        budgeted(load_job(None, {}, ["limits.max_cost=5"]), StopRequest()),
    ):
        pass


def test_a_machine_that_costs_nothing_has_no_budget() -> None:
    spec, stop = load_job(None, {}, ["limits.max_cost=0.01", "resources.price_per_hour=0"]), StopRequest()
    with budgeted(spec, stop):
        assert not stop()


def test_without_a_limit_nothing_asks() -> None:
    stop = StopRequest()
    with limited(JobSpec(), stop), budgeted(JobSpec(), stop), watched(JobSpec(), stop):
        assert not stop()
