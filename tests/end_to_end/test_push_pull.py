"""Packs and runs between machines by way of an object store, as real processes that are killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.store.local import LocalStore
from ten.train.checkpoint_files import publish
from tests.data.small import pack_into, recipe_of
from tests.end_to_end.hub_bundle import ended, interrupted
from tests.holdings.stores import objects
from tests.standins.s3 import S3Stand, without_stores

RUN = "train-tales-nano"
MIB = 2**20


class Machine:
    """A folder with a store of its own, and `ten` processes that know the object store."""

    def __init__(self, stand: S3Stand, folder: Path) -> None:
        self.near = LocalStore(folder / "near")
        self._folder = folder
        folder.mkdir(exist_ok=True)
        home = {"HOME": str(folder), "TEN_STORE": self.near.url, "PYTHONPATH": str(Path(__file__).parents[2])}
        self._environment = without_stores(os.environ) | stand.environment() | home

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A verb as a process that runs."""
        return subprocess.Popen(
            [sys.executable, "-m", "ten.cli", *words], env=self._environment, cwd=self._folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ten(self, *words: str, code: int = 0) -> str:
        """Run a verb to its end; its stdout."""
        return ended(self.start(*words), code).stdout


@pytest.fixture(scope="module")
def small_units() -> Iterator[None]:
    """Units so small that a small corpus has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ten.text.units._MIN_UNIT_TEXT_BYTES", 2048)
        yield


@pytest.fixture
def machine(stand: S3Stand, tmp_path: Path, corpus_path: Path, small_units: None) -> Machine:
    """One with a pack of many shards, and a run whose newest checkpoint goes in several parts."""
    made = Machine(stand, tmp_path / "full")
    pack_into(ShardCache(made.near, recipe_of(corpus_path)))
    for step, size in ((100, MIB), (200, 34 * MIB)):
        content = {"model.safetensors": bytes([step]) * size, "state.json": b"{}"}
        files = {name: partial(iter, [data]) for name, data in content.items()}
        publish(made.near.root / "runs" / RUN / "checkpoints", step, files, expected_bytes=0)
    return made


@pytest.fixture
def empty(stand: S3Stand, tmp_path: Path) -> Machine:
    """One with nothing."""
    return Machine(stand, tmp_path / "empty")


def pack_of(machine: Machine) -> str:
    """The pack's name."""
    (name,) = machine.near.children("packs")
    return name


def test_killed_in_the_middle_push_and_pull_go_on_with_the_rest(
    machine: Machine, empty: Machine, stand: S3Stand
) -> None:
    name, address = pack_of(machine), f"{stand.new_bucket()}/ten"
    bucket, shards = address.split("/")[2], len(machine.near.children(f"packs/{pack_of(machine)}/shards"))
    below = f"ten/packs/{name}/"

    def sent() -> list[str]:
        return stand.keys(bucket, below)

    stand.set(latency_ms=60)
    push = machine.start("push", name, address)
    assert interrupted(push, lambda: len(sent()) > 3, signal.SIGKILL) == -signal.SIGKILL
    had = len(sent())
    assert 3 < had < shards
    assert f"{below}manifest.json" not in sent()
    stand.set(latency_ms=0)
    (said,) = json.loads(machine.ten("push", name, address, "--json"))
    assert (said["there"], said["moved"]) == (had, shards + 2 - had)
    stand.set(latency_ms=60)
    pull = empty.start("pull", name, address)
    folder = empty.near.root / "packs" / name / "shards"
    assert interrupted(pull, lambda: len(list(folder.glob("*.safetensors"))) > 3, signal.SIGKILL) == -signal.SIGKILL
    stand.set(latency_ms=0)
    (said,) = json.loads(empty.ten("pull", name, address, "--json"))
    assert 3 < said["there"] < shards
    assert objects(empty.near) == objects(machine.near, "packs/")
    assert "0 of" not in empty.ten("verify", name)


def test_a_run_moves_from_machine_to_machine(machine: Machine, empty: Machine, stand: S3Stand) -> None:
    address = stand.new_bucket()
    machine.ten("push", RUN, address, "--last")
    assert "step-00000100" not in " ".join(stand.keys(address.removeprefix("s3://")))
    empty.ten("pull", f"{address}/runs/{RUN}")
    sent = objects(machine.near, f"runs/{RUN}/checkpoints/step-00000200/")
    assert objects(empty.near) == sent
    assert len(sent) == 3


def test_verify_finds_a_turned_bit_in_the_store_and_mends_it_from_here(
    machine: Machine, empty: Machine, stand: S3Stand
) -> None:
    name, address = pack_of(machine), stand.new_bucket()
    bucket, key = address.removeprefix("s3://"), f"packs/{pack_of(machine)}/shards/00002.safetensors"
    machine.ten("push", machine.near.url, address)
    assert "damaged" not in empty.ten("verify", address)
    for damaged in (key, f"runs/{RUN}/checkpoints/step-00000200/model.safetensors"):
        data = bytearray(stand.get(bucket, damaged))
        data[len(data) // 2] ^= 1
        stand.put(bucket, damaged, bytes(data))
    said = json.loads(empty.ten("verify", address, "--json", code=65))
    assert {found["path"].rpartition("/")[2] for found in said["damaged"]} == {
        "00002.safetensors",
        "model.safetensors",
    }
    machine.ten("verify", address, "--repair")
    assert stand.get(bucket, key) == machine.near.read(key)
    assert "damaged" not in empty.ten("verify", name, "--store", address)


def test_a_process_told_to_stop_leaves_at_once(machine: Machine, stand: S3Stand) -> None:
    address = stand.new_bucket()
    stand.set(throttle=MIB)
    push = machine.start("push", RUN, address)
    assert interrupted(push, lambda: bool(stand.log("PUT")), signal.SIGTERM, within=15) == 75
