"""Packing on Ray: the bytes of one machine, whatever dies meanwhile. A real cluster: two nodes on this machine."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ten.data import ray_cluster
from ten.data.cache import ShardCache
from ten.data.manifest import ShardEntry
from ten.data.pack import Packed, Packers, pack_all
from ten.data.pack_on_ray import packing_on_ray
from ten.data.pack_progress import PackProgress
from ten.data.ray_cluster import RayCluster
from ten.data.recipe import Recipe
from ten.errors import DataError, MissingInput, Resumable, SpecError
from ten.store.local import LocalStore
from ten.store.opening import open_store
from ten.text.engines import Encoder
from tests.data.small import jsonl, kill, make_texts, recipe_of, small_tokenizer, wait_until, write_jsonl
from tests.standins.s3 import CANARIES, S3Stand

pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore:.*ray_client_server:pytest.PytestUnraisableExceptionWarning")
"""Ray leaves the log files of its client server open."""
_FASTER = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""A node is missed after two seconds."""


class Nodes:
    """A cluster of this test's own: two nodes with a CPU each, of which the second may die."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster()
        head = self._cluster.add_node(
            num_cpus=1, include_dashboard=False, ray_client_server_port=_free_port(), _system_config=_FASTER
        )
        self.alive = [head, self._cluster.add_node(num_cpus=1)]

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    @property
    def client_address(self) -> str:
        return f"ray://127.0.0.1:{self._cluster.head_node._ray_params.ray_client_server_port}"

    @property
    def logs(self) -> Path:
        return Path(self._cluster.head_node.get_session_dir_path())

    def packing(self, node: Any) -> list[int]:
        """Processes of a node that are packing a unit now."""
        (raylet,) = node.all_processes["raylet"]
        children = Path(f"/proc/{raylet.process.pid}/task/{raylet.process.pid}/children").read_text().split()
        return [int(child) for child in children if _title(int(child)).startswith("ray::ten pack")]

    def kill_node(self) -> None:
        """kill -9 of a node that is packing."""
        wait_until(lambda: bool(self.packing(self.alive[1])))
        self._cluster.remove_node(self.alive.pop(), allow_graceful=False)

    def kill_worker(self) -> None:
        """kill -9 of a process that is packing."""
        wait_until(lambda: bool(self.packing(self.alive[0])))
        kill(self.packing(self.alive[0])[0])

    def close(self) -> None:
        self._cluster.shutdown()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _title(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Disturbed:
    """Packers to whom something happens after a few shards."""

    def __init__(self, packers: Packers, disturb: Callable[[], None]) -> None:
        self._packers, self._disturb = packers, disturb

    def pack(self, units: list[int], encoder: Encoder, made: PackProgress) -> Generator[ShardEntry, None, None]:
        for number, entry in enumerate(self._packers.pack(units, encoder, made)):
            if number == 3:
                self._disturb()
            yield entry


@pytest.fixture(scope="module")
def nodes(standing: S3Stand) -> Iterator[Nodes]:
    """Nodes whose environment has the keys of the store, and a driver's that has them too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in standing.environment(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled").items():
            patch.setenv(name, value)
        cluster = Nodes()
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.close()


@pytest.fixture(scope="module")
def tales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose units take the reference engine a tenth of a second each."""
    return write_jsonl(tmp_path_factory.mktemp("tales") / "tales.jsonl", make_texts(1500, words=600))


@pytest.fixture(scope="module")
def expected(tales: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardCache:
    """The pack of that corpus as one machine makes it."""
    cache = ShardCache(LocalStore(tmp_path_factory.mktemp("one")), recipe_of(tales))
    pack_all(cache)
    return cache


def pack_on_ray(cache: ShardCache, disturb: Callable[[], None] = lambda: None, place: str = "ray") -> Packed:
    with packing_on_ray(RayCluster(place), cache, "tokenizers", 256) as packers:
        return pack_all(cache, engine="tokenizers", packers=Disturbed(packers, disturb))


def files_of(cache: ShardCache) -> dict[str, bytes]:
    folder = cache.pack.folder
    assert folder is not None
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_killed_node_changes_no_byte_in_the_store(
    nodes: Nodes, stand: S3Stand, expected: ShardCache, tmp_path: Path
) -> None:
    bucket = stand.new_bucket()
    cache = ShardCache(open_store(bucket), expected.recipe, tmp_path)
    assert pack_on_ray(cache, nodes.kill_node).packed == len(expected.recipe.units)
    name, prefix = bucket.removeprefix("s3://"), f"packs/{expected.recipe.pack_name}/"
    found = {key.removeprefix(prefix): stand.get(name, key) for key in stand.keys(name)}
    found.pop("packing.json")
    assert found == files_of(expected)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in nodes.logs.rglob("*") if path.is_file() and _holds_a_secret(path)]


def _holds_a_secret(path: Path) -> bool:
    data = path.read_bytes()
    return any(canary.encode() in data for canary in CANARIES)


def test_a_killed_worker_changes_no_byte_in_the_folder(nodes: Nodes, expected: ShardCache, tmp_path: Path) -> None:
    cache = ShardCache(LocalStore(tmp_path), expected.recipe)
    pack_on_ray(cache, nodes.kill_worker)
    assert files_of(cache) == files_of(expected)


@pytest.mark.slow
def test_a_cluster_elsewhere_makes_the_same_bytes(nodes: Nodes, expected: ShardCache, tmp_path: Path) -> None:
    cache = ShardCache(LocalStore(tmp_path), expected.recipe)
    pack_on_ray(cache, place=nodes.client_address)
    assert files_of(cache) == files_of(expected)


def test_only_what_is_missing_is_packed(nodes: Nodes, expected: ShardCache, tmp_path: Path) -> None:
    cache = ShardCache(LocalStore(tmp_path), expected.recipe)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_on_ray(cache, interrupt)
    there = len(list(tmp_path.rglob("*.safetensors")))
    assert 3 <= there < len(expected.recipe.units)
    assert pack_on_ray(cache).packed == len(expected.recipe.units) - there
    assert files_of(cache) == files_of(expected)


def test_an_error_in_a_unit_is_the_same_error_here_and_names_the_node(nodes: Nodes, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(make_texts(1200)) + b"{broken\n")
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe_of(path))
    with pytest.raises(DataError, match=r"a\.jsonl: line \d+ .* is no record .*\(on Ray node \S+\)") as raised:
        pack_on_ray(cache)
    assert type(raised.value) is DataError
    assert cache.manifest() is None


@pytest.mark.slow
@pytest.mark.parametrize(("content", "error"), [(b"", MissingInput), (b"[]", SpecError)])
def test_a_node_whose_files_are_others_is_named(
    nodes: Nodes, tmp_path: Path, content: bytes, error: type[Exception]
) -> None:
    path = write_jsonl(tmp_path / "b.jsonl", make_texts(300))
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe_of(path))
    with packing_on_ray(RayCluster("ray"), cache, "tokenizers", 256) as packers:
        path.write_bytes(content) if content else path.unlink()
        with pytest.raises(error, match=r"b\.jsonl: is .*\(on Ray node \S+\)"):
            list(packers.pack([0], _no_encoder(), PackProgress(cache.recipe, [0])))


def _no_encoder() -> Any:
    """Workers open their own."""


def test_a_node_of_another_version_is_named(
    nodes: Nodes, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "__version__", "0.0")
    with pytest.raises(SpecError, match=r"Ray node \S+: has ten \S+, this machine 0\.0; install the same version"):
        pack_on_ray(ShardCache(LocalStore(tmp_path), recipe))


def test_a_node_that_sees_another_store_is_named(nodes: Nodes, tmp_path: Path) -> None:
    cluster = RayCluster("ray")
    with cluster.connected(), pytest.raises(SpecError, match=r"Ray node \S+: \S+ is another store there"):
        cluster.check_nodes(str(tmp_path), "packs/none")


def test_a_stopped_command_ends_its_tasks_and_can_be_gone_on_with(nodes: Nodes, tales: Path, tmp_path: Path) -> None:
    tokenizer, store = tmp_path / "tokenizer.json", tmp_path / "store"
    tokenizer.write_text(small_tokenizer().definition)
    words = ["pack", "--dataset", str(tales), "--tokenizer", str(tokenizer), "--store", str(store), "--on", "ray"]
    command = [sys.executable, "-m", "ten.cli", *words, "--set", "data.engine=tokenizers"]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE) as process:
        wait_until(lambda: len(list(store.rglob("*.safetensors"))) >= 2 or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == Resumable.exit_code, said.decode()
    assert b"shards are packed" in said
    wait_until(lambda: not any(nodes.packing(node) for node in nodes.alive))
    assert not list(store.rglob("manifest.json"))
