"""Runs over the hub: whatever mode, stop or move of a branch, the same rows, and nothing packed is fetched again."""

import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ten.data.shards import parse_shard
from ten.text.flow import RANGES_AHEAD
from tests.end_to_end.bundle import TINY
from tests.end_to_end.hub_bundle import Group, HubBundle, ended, interrupted, repeated, text_begins
from tests.standins import hub_corpora
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault

GROUPS, ROWS = 32, 20
"""Row groups of each of the two files, some six a unit, and rows of each."""
FIRST = "sample/10BT/000_00000.parquet"
MOVING, MIXED, SMALL, LARGE = "standin/moving", "standin/mixed", "standin/small", "standin/large"

HubBundles = Callable[..., HubBundle]


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The process, with ten units of text, the same once more, and one unit."""
    root = tmp_path_factory.mktemp("hub")
    original = hub_corpora.fineweb_edu(root, groups=GROUPS, rows=ROWS, sentences=16)
    shutil.copytree(original / "sample", root / "datasets" / MOVING / "sample")
    hub_corpora.parquet_repository(root, SMALL, {"train.parquet": 5 * ROWS}, group=ROWS, sentences=16)
    hub_corpora.parquet_repository(root, MIXED, {"train.parquet": 5 * ROWS}, group=ROWS, sentences=16)
    hub_corpora.parquet_repository(root, LARGE, {"train.parquet": 400}, group=100, sentences=32)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def hub(standin: Hub) -> Hub:
    """The same with nothing wrong and an empty log."""
    standin.clear()
    return standin


@pytest.fixture
def bundles(hub: Hub, tokenizer: Path, tmp_path: Path) -> HubBundles:
    """Bundles over a data set, with an empty store of a name."""
    return lambda dataset="finewebedu", name="store": HubBundle(hub, tmp_path / name, dataset, tokenizer)


@pytest.fixture
def bundle(bundles: HubBundles) -> HubBundle:
    """A bundle with an empty store."""
    return bundles()


@pytest.fixture(scope="module")
def undisturbed(standin: Hub, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The rows of a run that streams and that nothing disturbs."""
    standin.clear()
    bundle = HubBundle(standin, tmp_path_factory.mktemp("undisturbed"), "finewebedu", tokenizer)
    bundle.run("train", *bundle.training("--streaming"))
    assert len(set(bundle.rows())) == 14
    return bundle.rows()


@pytest.fixture(scope="module")
def packed(standin: Hub, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> HubBundle:
    """A bundle with the finished pack."""
    standin.clear()
    bundle = HubBundle(standin, tmp_path_factory.mktemp("packed"), "finewebedu", tokenizer)
    bundle.run("pack")
    return bundle


def _hang_from(hub: Hub, group: int) -> tuple[Fault, Fault]:
    """Row groups of the first file do not come from this one on; the second half of it, with its footer, does."""
    begins = text_begins(next(hub.root.rglob(FIRST)))
    passing = Fault("trickle", match=FIRST, port="cdn", min_start=begins[GROUPS // 2], count=-1, rate=10**9)
    return passing, Fault("hang", match=FIRST, port="cdn", min_start=begins[group], count=-1)


def _nobody(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("mode", ["--pretokenized", "--streaming"])
def test_a_finished_pack_trains_without_a_hub(
    packed: HubBundle, undisturbed: list[str], free_port: int, mode: str
) -> None:
    run = f"offline{mode}"
    words = packed.training(mode, "--set", f"run={run}")
    packed.run("train", *words, HF_ENDPOINT=_nobody(free_port), HF_HUB_OFFLINE="1")
    assert packed.rows(run) == undisturbed


def test_full_equals_streaming(bundle: HubBundle, undisturbed: list[str]) -> None:
    bundle.run("train", *bundle.training("--full"))
    assert bundle.rows() == undisturbed


def test_packing_again_asks_and_tokenizes_nothing(packed: HubBundle, free_port: int) -> None:
    before = packed.shards()
    assert "it was complete" in packed.run("pack", HF_ENDPOINT=_nobody(free_port), HF_HUB_OFFLINE="1").stdout
    assert packed.shards() == before


def test_a_subset_is_the_same_in_every_mode(bundles: HubBundles, undisturbed: list[str]) -> None:
    streaming, full = bundles(name="streaming"), bundles(name="full")
    subset = ("--subset_size", "500")
    streaming.run("train", *streaming.training("--streaming", *subset))
    full.run("train", *full.training("--full", *subset))
    streaming.run("pack", *subset)
    streaming.run("train", *streaming.training("--pretokenized", "--set", "run=again", *subset))
    rows = streaming.rows("train-*")
    assert rows == full.rows() == streaming.rows("again")
    assert rows != undisturbed


@pytest.mark.parametrize("by", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_stopped_twice_in_the_middle_of_a_unit_fetches_nothing_packed_again(
    bundle: HubBundle, undisturbed: list[str], by: signal.Signals
) -> None:
    words = bundle.training("--streaming", "--set", "data.pack_threads=1", "--set", "data.engine=tokenizers")
    kept, logs = set[Group](), list[Counter[Group]]()
    for group, step in ((3, 4), (8, 7)):  # of units 0 and 1
        bundle.hub.clear()
        bundle.hub.add(*_hang_from(bundle.hub, group))
        process = bundle.start("train", *words)
        code = interrupted(process, partial(_is_stuck, bundle, step), by)
        assert code == (75 if by == signal.SIGTERM else -by)
        logs.append(bundle.fetched(bundle.hub.log()))
        assert not kept & logs[-1].keys()
        assert Group(FIRST, group - 1) in bundle.packed() - kept
        assert Group(FIRST, group) not in bundle.packed()
        kept = bundle.packed()
    bundle.hub.clear()
    bundle.run("train", *words)
    assert bundle.rows() == undisturbed
    logs.append(bundle.fetched(bundle.hub.log()))
    assert not kept & logs[-1].keys()
    again = sum(map(Counter.total, logs)) - len(set[Group]().union(*logs))
    assert again <= 2 * (1 + RANGES_AHEAD)  # a stop: the one that was read, and those asked for behind it


def _is_stuck(bundle: HubBundle, step: int) -> bool:
    return bundle.steps() >= step and bundle.is_stuck()


def test_two_ranks_share_a_packer_and_one_goes_on_alone(
    bundle: HubBundle, undisturbed: list[str], free_port: int
) -> None:
    words = bundle.training("--streaming", "--set", "train.micro_batch_rows=4")
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    ranks = [bundle.start("train", *words, "--steps", "6", **common, RANK=rank, LOCAL_RANK=rank) for rank in "01"]
    for rank in ranks:
        ended(rank, 0)
    log = bundle.hub.log()
    assert not repeated(log)
    assert len([request for request in log if request.path.startswith("/api/")]) == 2
    kept = bundle.packed()
    bundle.hub.forget()
    bundle.run("train", *words)
    assert bundle.rows() == undisturbed
    assert not kept & bundle.fetched(bundle.hub.log()).keys()


def test_ranks_that_wait_for_a_whole_shard_do_not_wait_for_ever(bundles: HubBundles, free_port: int) -> None:
    """The first row group alone would feed the first steps, and only rank 0 may read a shard that still grows."""
    bundle = bundles(LARGE)
    words = [*TINY, "--streaming", "--seq-len", "64", "--batch-size", "2", "--steps", "2"]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    ranks = [bundle.start("train", *words, **common, RANK=rank, LOCAL_RANK=rank) for rank in "01"]
    for rank in ranks:
        ended(rank, 0)
    assert bundle.steps() == 2


def test_machines_that_pinned_other_commits_do_not_train_together(bundles: HubBundles, free_port: int) -> None:
    first, second = bundles(MIXED, "first"), bundles(MIXED, "second")
    old = first.plan()
    first.hub.commit(MIXED, {"train.parquet": (first.hub.root / "datasets" / LARGE / "train.parquet").read_bytes()})
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port), "LOCAL_RANK": "0"}
    words = [*TINY, "--streaming", "--seq-len", "64", "--batch-size", "2", "--steps", "2"]
    ranks = [one.start("train", *words, **common, RANK=rank) for rank, one in zip("01", (first, second), strict=True)]
    said = [ended(rank, 78).stderr for rank in ranks]
    assert f"at {old}" in said[0]
    assert all("one commit with --revision" in text for text in said)


def test_a_branch_that_moved_leaves_a_run_at_its_commit(bundles: HubBundles, undisturbed: list[str]) -> None:
    bundle, hub = bundles(MOVING), bundles().hub
    bundle.run("train", *bundle.training("--streaming", "--steps", "3"))
    old = bundle.plan()
    new = hub.commit(MOVING, {FIRST: (hub.root / "datasets" / SMALL / "train.parquet").read_bytes()})
    shutil.rmtree(bundle.store / "packs")
    hub.forget()
    bundle.run("train", *bundle.training("--streaming"))
    assert bundle.rows() == undisturbed
    asked = [request.path for request in hub.log()]
    assert asked
    assert all(f"/{old}/" in path for path in asked)
    assert bundle.plan() == old
    assert bundles(MOVING, "fresh").plan() == new


def test_the_second_epoch_asks_for_nothing(bundles: HubBundles) -> None:
    bundle = bundles(SMALL)
    bundle.run("train", *TINY, "--streaming", "--seq-len", "512", "--batch-size", "4", "--epochs", "2")
    (shard,) = (parse_shard(data, "shard") for data in bundle.shards().values())
    assert bundle.steps() * 4 * 512 > 1.5 * shard.header.tokens
    assert sorted(bundle.fetched(bundle.hub.log()).values()) == [1] * 5


def test_an_interrupted_pack_goes_on(bundle: HubBundle, packed: HubBundle) -> None:
    bundle.hub.add(*_hang_from(bundle.hub, 8))
    process = bundle.start("pack", "--set", "data.pack_threads=1", TEN_PATIENCE="8s")
    assert interrupted(process, bundle.is_stuck, signal.SIGINT) == 75
    kept = bundle.packed()
    assert bundle.journals()
    bundle.hub.clear()
    bundle.run("pack")
    assert bundle.shards() == packed.shards()
    start = Group(FIRST, 0)  # by which an epoch's tokens are judged
    assert kept & bundle.fetched(bundle.hub.log()).keys() == {start}


def test_an_interrupted_pack_does_not_wait_for_a_hub_that_hangs(bundle: HubBundle) -> None:
    bundle.hub.add(*_hang_from(bundle.hub, 8))
    process = bundle.start("pack", TEN_PATIENCE="15s")
    assert interrupted(process, bundle.is_stuck, signal.SIGINT, within=5) == 75


def test_an_interrupted_download_goes_on(bundle: HubBundle, packed: HubBundle) -> None:
    bundle.hub.set(throttle=300_000)
    process = bundle.start("pack", "--keep-files")
    files = bundle.store / "cache" / "hub"
    assert interrupted(process, lambda: any(files.rglob("*.parquet")), signal.SIGINT) == 75
    (whole,) = files.rglob("*.parquet")
    bundle.hub.clear()
    bundle.run("pack", "--keep-files")
    assert bundle.shards() == packed.shards()
    assert not [request for request in bundle.hub.log() if whole.name in request.path]
    assert len([*files.rglob("*.parquet")]) == 2
