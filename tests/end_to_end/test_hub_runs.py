"""Runs over the hub: whatever mode, stop or move of a branch, the same rows, and nothing packed is fetched again."""

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ten.data.flow import RANGES_AHEAD
from ten.data.shards import parse_shard
from tests.end_to_end.bundle import TINY
from tests.end_to_end.hub_bundle import Group, HubBundle, ended, interrupted, repeated
from tests.standins import hub_corpora
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault

GROUPS, ROWS = 32, 20
"""Row groups of each of the two files, some six a unit, and rows of each."""
MOVING, SMALL = "standin/moving", "standin/small"

HubBundles = Callable[..., HubBundle]


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The process, with ten units of text, the same once more, and one unit."""
    root = tmp_path_factory.mktemp("hub")
    original = hub_corpora.fineweb_edu(root, groups=GROUPS, rows=ROWS, sentences=16)
    shutil.copytree(original / "sample", root / "datasets" / MOVING / "sample")
    hub_corpora.parquet_repository(root, SMALL, {"train.parquet": 5 * ROWS}, group=ROWS, sentences=16)
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


def _offline(port: int) -> dict[str, str]:
    """No hub, and no wish for one."""
    return {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize("mode", ["--pretokenized", "--streaming"])
def test_a_finished_pack_trains_without_a_hub(
    packed: HubBundle, undisturbed: list[str], free_port: int, mode: str
) -> None:
    run = f"offline{mode}"
    packed.run("train", *packed.training(mode, "--set", f"run={run}"), **_offline(free_port))
    assert packed.rows(run) == undisturbed


def test_full_equals_streaming(bundle: HubBundle, undisturbed: list[str]) -> None:
    bundle.run("train", *bundle.training("--full"))
    assert bundle.rows() == undisturbed


def test_packing_again_asks_and_tokenizes_nothing(packed: HubBundle, free_port: int) -> None:
    before = packed.shards()
    assert "it was complete" in packed.run("pack", **_offline(free_port)).stdout
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


def test_stopped_twice_in_the_middle_of_a_unit_fetches_nothing_packed_again(
    bundle: HubBundle, undisturbed: list[str]
) -> None:
    words = bundle.training("--streaming", "--set", "data.pack_threads=1")
    fetched: Counter[Group] = Counter()
    for served, steps, by, code in ((13, 4, signal.SIGKILL, -9), (8, 7, signal.SIGTERM, 75)):
        kept = bundle.packed() if fetched else set()
        bundle.hub.clear()
        bundle.hub.add(Fault("hang", port="cdn", after=served, count=-1))
        process = bundle.start("train", *words)
        stop = interrupted(process, lambda: bundle.steps() >= steps and bool(bundle.journals()), by)
        assert stop == code
        now = bundle.fetched(bundle.hub.log())
        assert not kept & now.keys()
        assert len(bundle.packed()) > len(kept)
        fetched += now
    kept = bundle.packed()
    assert bundle.journals()
    bundle.hub.clear()
    bundle.run("train", *words)
    assert bundle.rows() == undisturbed
    now = bundle.fetched(bundle.hub.log())
    assert not kept & now.keys()
    assert sum((fetched + now).values()) - len(fetched + now) <= 2 * (1 + RANGES_AHEAD)


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


def test_a_branch_that_moved_leaves_a_run_at_its_commit(bundles: HubBundles, undisturbed: list[str]) -> None:
    bundle, hub = bundles(MOVING), bundles().hub
    bundle.run("train", *bundle.training("--streaming", "--steps", "3"))
    old = bundle.plan()
    name = "sample/10BT/000_00000.parquet"
    new = hub.commit(MOVING, {name: (hub.root / "datasets" / SMALL / "train.parquet").read_bytes()})
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
    assert not repeated(request for request in bundle.hub.log() if "bytes=4-" in request.range)
    assert sorted(bundle.fetched(bundle.hub.log()).values()) == [1] * 5


def test_an_interrupted_pack_goes_on(bundle: HubBundle, packed: HubBundle) -> None:
    bundle.hub.clear()
    bundle.hub.add(Fault("hang", port="cdn", after=12, count=-1))
    process = bundle.start("pack", "--set", "data.pack_threads=1")
    began = time.monotonic()
    assert interrupted(process, lambda: bool(bundle.journals()), signal.SIGINT) == 75
    print("INT", time.monotonic()-began)
    kept = bundle.packed()
    bundle.hub.clear()
    bundle.run("pack")
    assert bundle.shards() == packed.shards()
    assert not kept & bundle.fetched(bundle.hub.log()).keys()


def test_an_interrupted_download_goes_on(bundle: HubBundle, packed: HubBundle) -> None:
    bundle.hub.clear()
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
