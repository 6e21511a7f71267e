"""Runs whose only lasting home is an object store: machines come and go, and the run goes on."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.train import checkpoint_files
from ten.train.metrics import StepMetrics
from ten.train.run_record import decode_run
from tests.end_to_end.hub_bundle import ended
from tests.end_to_end.store_bundle import StoreBundle
from tests.standins.s3 import S3Stand
from tests.standins.s3_faults import Fault

RUN = "runs/r"


@pytest.fixture
def machine(stand: S3Stand, corpus: Path, tokenizer: Path, tmp_path: Path) -> StoreBundle:
    """An empty machine with an empty store."""
    return StoreBundle(stand, stand.new_bucket() + "/here", tmp_path / "first", corpus, tokenizer)


def training(machine: StoreBundle, *words: str) -> list[str]:
    return machine.training("--set", "run=r", *words)


def saved(machine: StoreBundle) -> list[str]:
    """Names of the complete checkpoints in the store."""
    keys = [key for key in machine.keys(f"{RUN}/checkpoints/") if key.endswith("/COMPLETE")]
    return [key.split("/")[3] for key in keys]


def wait_until(said: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def facts(metrics: list[StepMetrics]) -> list[tuple[int, str, float]]:
    return [(line.step, line.rows_sha256, line.loss) for line in metrics]


def test_a_run_goes_on_where_a_killed_machine_left_it_and_nobody_can_tell(
    machine: StoreBundle, undisturbed: list[StepMetrics]
) -> None:
    process = machine.start("train", *training(machine))
    wait_until(lambda: saved(machine) or process.poll() is not None)
    process.kill()
    process.communicate()
    kept = saved(machine)
    assert kept
    other = machine.elsewhere("second")
    done = other.run("train", *training(other))
    assert f"fetching {machine.address}/{RUN}/checkpoints/{kept[-1]}" in done.stderr
    assert f"in the store: {machine.address}/{RUN}/checkpoints/step-00000014" in done.stderr
    assert facts(other.metrics()) == facts(undisturbed)
    assert other.metrics()[-1].held_out_bits_per_byte == undisturbed[-1].held_out_bits_per_byte
    assert saved(machine)[-1] == "step-00000014" and len(saved(machine)) <= 3
    assert decode_run(machine.read(f"{RUN}/run.json"), "run.json").attempts[-1].reason == "finished"
    assert machine.read(f"{RUN}/metrics.jsonl") == other.files("metrics.jsonl")[0].read_bytes()
    assert other.tool("generate", "r", "--store", machine.address, "--max-tokens", "4").stdout
    assert "finished" in other.tool("runs", machine.address).stdout
    assert list(machine.told()) == [] and list(other.told()) == []


def test_a_stop_brings_the_last_step_into_the_store(machine: StoreBundle) -> None:
    process = machine.start("train", *training(machine, "--steps", "2000", "--set", "checkpoint.every=0"))
    wait_until(lambda: machine.steps() >= 2 or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    last = machine.metrics()[-1].step
    assert saved(machine) == [checkpoint_files.folder_name(last)]
    assert f"stopped by SIGTERM after step {last}; saved " in said
    assert f"; in the store: step-{last:08d}; run the same command again" in said
    ((attempt,),) = (decode_run(machine.read(f"{RUN}/run.json"), "run.json").attempts,)
    assert attempt.to_step == last and attempt.ended is not None


def test_without_the_store_at_the_end_nothing_is_lost_and_the_next_time_sends_it(machine: StoreBundle) -> None:
    words = training(machine, "--steps", "3")
    machine.stand.add(Fault("refuse", match=r"PUT .*/checkpoints/", code="InternalError", count=-1))
    failed = machine.run("train", *words, code=74, TEN_PATIENCE="1s")
    assert "step-00000003 is on this disk only" in failed.stderr
    assert "newest there: no checkpoint of the run" in failed.stderr
    assert saved(machine) == []
    (folder,) = {path.parent for path in machine.files("COMPLETE")}
    assert checkpoint_files.find_damage(folder) is None
    machine.stand.clear()
    again = machine.run("train", *words)
    assert "finished at step 3" in again.stdout
    assert saved(machine) == ["step-00000003"]


def test_a_refused_key_ends_the_run_with_the_checkpoint_here(machine: StoreBundle) -> None:
    machine.stand.add(Fault("refuse", match=r"PUT .*/checkpoints/", code="AccessDenied", count=-1))
    failed = machine.run("train", *training(machine, "--steps", "2000"), code=77)
    assert "is on this disk only" in failed.stderr
    folders = [path.parent for path in machine.files("COMPLETE")]
    assert folders and not [folder for folder in folders if checkpoint_files.find_damage(folder)]


def test_a_machine_thought_dead_ends_when_another_goes_on_with_its_run(machine: StoreBundle) -> None:
    first = machine.start("train", *training(machine, "--steps", "5000"))
    wait_until(lambda: saved(machine) or first.poll() is not None)
    other = machine.elsewhere("second")
    second = other.start("train", *training(other, "--steps", "5000"))
    _, said = first.communicate(timeout=60)
    assert first.returncode == 78, said
    assert "another process trains this run since" in said and "is on this disk only" in said
    assert second.poll() is None
    second.send_signal(signal.SIGTERM)
    ended(second, 75)
    assert decode_run(machine.read(f"{RUN}/run.json"), "run.json").attempts[-1].to_step == other.metrics()[-1].step
    assert '"damaged": []' in machine.verify(0)


@pytest.mark.slow
def test_two_ranks_on_an_empty_machine_go_on_where_one_stopped(
    machine: StoreBundle, undisturbed: list[StepMetrics], free_port: int
) -> None:
    half = ("--set", "train.micro_batch_rows=4", "--set", "train.gradient_accumulation=2")
    machine.run("train", *training(machine, *half, "--steps", "6"))
    other = machine.elsewhere("second")
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    ranks = [other.start("train", *training(other, *half), RANK=rank, LOCAL_RANK=rank, **common) for rank in ("0", "1")]
    said = [ended(rank, 0).stderr for rank in ranks]
    assert "".join(said).count("fetching ") == 1
    assert [line.rows_sha256 for line in other.metrics()] == [line.rows_sha256 for line in undisturbed]
    assert saved(machine)[-1] == "step-00000014"
