"""Packed once, read everywhere: machines that share nothing but an object store, and what may go wrong between them."""

import json
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.train.metrics import StepMetrics
from tests.end_to_end.store_bundle import StoreBundle, arguments_of
from tests.standins.s3 import CANARIES, S3Stand
from tests.standins.s3_faults import Fault

MISHAPS = (
    Fault("refuse", match="^GET", after=6, count=2),
    Fault("drop", match=r"GET .*\.safetensors", after=2, count=2),
    Fault("wrong_bytes", match=r"GET .*shards", after=5, count=1),
    Fault("short", match=r"GET .*shards", after=6, count=1),
    Fault("reset", match="^GET", after=12, count=2),
    Fault("refuse", match=r"PUT .*checkpoints", after=1, count=2, code="InternalError"),
    Fault("lost", match="PUT .*run.json", count=1),
    Fault("wrong_bytes", match=r"PUT .*checkpoints", after=2, count=1),
)
"""Everything that passes by itself, in one life."""


@pytest.fixture
def origin(stand: S3Stand, corpus: Path, tokenizer: Path, tmp_path: Path) -> StoreBundle:
    """The one machine that has the corpus."""
    bundle = StoreBundle(stand, f"{stand.new_bucket()}/some/where", tmp_path / "origin", Path(corpus.name), tokenizer)
    shutil.copy(corpus, bundle.work)
    return bundle


def facts(metrics: list[StepMetrics]) -> list[tuple[str, float]]:
    return [(line.rows_sha256, line.loss) for line in metrics]


def wait_for(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_packed_here_trained_there_killed_and_resumed_elsewhere_equals_undisturbed(
    origin: StoreBundle, undisturbed: list[StepMetrics]
) -> None:
    origin.run("pack")
    packed = origin.shards()
    origin.stand.add(*MISHAPS)
    there = origin.elsewhere("there")
    words = there.training("--pretokenized", "--set", "limits.max_duration=2m")
    process = there.start("train", *words)
    arguments = arguments_of(
        process, lambda: there.steps() >= 4 and any("COMPLETE" in key for key in there.keys("runs/"))
    )
    process.send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert not any(canary in text for canary in CANARIES for text in (out, err, *arguments))
    shutil.rmtree(there.machine)
    elsewhere = origin.elsewhere("elsewhere")
    done = elsewhere.run("train", *words)
    assert "nothing was tokenized here" in done.stderr and "of packing" in done.stderr
    assert facts(elsewhere.metrics()) == facts(undisturbed)
    assert elsewhere.metrics()[-1].held_out_bits_per_byte == undisturbed[-1].held_out_bits_per_byte
    assert origin.shards() == packed
    assert [*elsewhere.told()] == []
    assert any(request.fault for request in origin.stand.log())


def test_what_one_job_streams_another_reads_and_pack_completes(
    origin: StoreBundle, undisturbed: list[StepMetrics]
) -> None:
    origin.run("train", *origin.training("--streaming"))
    assert facts(origin.metrics()) == facts(undisturbed)
    streamed = origin.shards()
    assert streamed and not [key for key in origin.keys("packs/") if key.endswith("manifest.json")]
    other = origin.elsewhere("other")
    shutil.copy(origin.work / origin.corpus, other.work)
    done = other.run("train", *other.training("--streaming"), "--name", "again")
    assert facts(other.metrics()) == facts(undisturbed)
    assert re.search(rf"came from .*: {len(streamed)} shards", done.stderr)
    packed = origin.run("pack").stdout
    whole = origin.shards()
    assert f"{len(whole) - len(streamed)} of {len(whole)} shards made now" in packed
    assert {unit: whole[unit] for unit in streamed} == streamed


def test_a_killed_pack_sends_only_what_is_missing(origin: StoreBundle) -> None:
    origin.stand.set(latency_ms=150)
    process = origin.start("pack", "--set", "data.pack_threads=1")
    wait_for(lambda: len(origin.shards()) >= 3)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = origin.shards()
    assert not [key for key in origin.keys("packs/") if key.endswith("manifest.json")]
    origin.stand.clear()
    origin.run("pack")
    whole = origin.shards()
    put = [request.key for request in origin.stand.log("PUT") if request.key.endswith(".safetensors")]
    sent = {int(Path(key).stem) for key in put}
    assert len(sent) == len(put) and sent <= set(whole) - set(before)
    assert len(whole) - len(before) - len(sent) <= 4, "what was on its way when it was killed may have arrived"
    again = origin.elsewhere("again")
    shutil.copy(origin.work / origin.corpus, again.work)
    fresh = StoreBundle(again.stand, again.stand.new_bucket(), again.machine, again.corpus, again.tokenizer)
    fresh.run("pack")
    assert fresh.shards() == whole


def test_a_shard_damaged_in_the_store_is_named_then_mended(origin: StoreBundle, undisturbed: list[StepMetrics]) -> None:
    origin.run("pack")
    whole = origin.shards()
    key = next(key for key in origin.keys("packs/") if key.endswith("00004.safetensors"))
    flipped = bytearray(whole[4])
    flipped[-1] ^= 1
    origin.stand.put(origin.bucket, f"{origin.prefix}/{key}", bytes(flipped))
    there = origin.elsewhere("there")
    failed = there.run("train", *there.training("--pretokenized"), code=65)
    assert "00004.safetensors" in failed.stderr and "damaged" in failed.stderr and "ten pack" in failed.stderr
    assert json.loads(there.verify(65))["damaged"]
    mending = origin.elsewhere("mending")
    shutil.copy(origin.work / origin.corpus, mending.work)
    mended = mending.run("train", *mending.training("--streaming"), "--name", "mended")
    assert "shard 4 is made anew" in mended.stderr
    assert facts(mending.metrics()) == facts(undisturbed)
    assert origin.shards() == whole


def test_a_pack_under_way_is_read_as_far_as_it_goes_and_waited_for(
    origin: StoreBundle, undisturbed: list[StepMetrics]
) -> None:
    origin.stand.add(Fault("wait", match=r"PUT .*shards/0001", seconds=7, count=-1))
    packing = origin.start("pack", "--set", "data.pack_threads=1")
    wait_for(lambda: origin.shards())
    there = origin.elsewhere("there")
    done = there.run("train", *there.training("--pretokenized"))
    assert packing.wait(60) == 0
    packing.communicate()
    assert "is not finished yet" in done.stderr
    assert facts(there.metrics()) == facts(undisturbed)


def test_no_pack_is_an_error_that_names_the_command(origin: StoreBundle) -> None:
    failed = origin.run("train", *origin.training("--pretokenized"), code=66)
    assert "does not exist yet; run `ten pack --set data.dataset=sources.jsonl" in failed.stderr


def test_full_over_a_store_trains_the_same_rows_and_refuses_a_disk_too_small_before_it_packs(
    origin: StoreBundle, undisturbed: list[StepMetrics]
) -> None:
    origin.run("train", *origin.training("--full"))
    assert facts(origin.metrics()) == facts(undisturbed)
    small = origin.elsewhere("small")
    shutil.copy(origin.work / origin.corpus, small.work)
    fresh = StoreBundle(small.stand, small.stand.new_bucket(), small.machine, small.corpus, small.tokenizer)
    refused = fresh.run("train", *fresh.training("--full"), "--set", "data.cache_limit=300KB", code=73)
    assert "raise data.cache_limit" in refused.stderr
    assert fresh.shards() == {} and not list(fresh.home.rglob("*.safetensors"))
