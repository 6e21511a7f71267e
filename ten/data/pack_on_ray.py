"""Packing on Ray: every unit is a task, on any number of nodes, that puts its shard into the store by itself."""

import logging
import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec

from ten import __version__
from ten.data.cache import ShardCache
from ten.data.manifest import ShardEntry
from ten.data.pack_progress import PackProgress
from ten.data.packing import Work
from ten.data.ray_cluster import RayCluster, own_error
from ten.data.ray_worker import RayOrder, pack_on_node, version_error
from ten.errors import ServiceUnavailable, TenError
from ten.text.engines import Encoder

if TYPE_CHECKING:
    from concurrent.futures import Future

log = logging.getLogger(__name__)

_DEATHS = 10
"""So many workers may die over one unit before it is taken to be their death."""
_AHEAD = 2
"""Tasks in flight for each CPU."""
_LOOK_S = 10.0
"""How often the cluster's CPUs are counted: nodes come and go."""
_LEAVE_S = 5.0
"""What tasks that are broken off have to clean up."""

Result = tuple[ShardEntry, int]


@contextmanager
def packing_on_ray(cluster: RayCluster, cache: ShardCache, engine: str, batch_rows: int) -> Iterator["PackOnRay"]:
    """Connect to a cluster whose nodes all reach the cache's store; what packs there.

    Raises ServiceUnavailable when it does not answer, SpecError for a node that lacks this package or sees another
    store, and what the store raises there.
    """
    with cluster.connected():
        store = cache.pack.store
        mark = f"packs/{cache.recipe.pack_name}/ray-{secrets.token_hex(8)}"
        store.write(mark, b"every node that packs must see this\n")
        try:
            nodes = cluster.check_nodes(store.url, mark)
        finally:
            store.delete(mark)
        log.info("packing on Ray: %d nodes with %d CPUs", nodes, cluster.cpus())
        yield PackOnRay(cluster, cache, engine, batch_rows)


class PackOnRay:
    """Tasks of a connected cluster. A worker or node that dies costs what it was packing, which others pack again."""

    def __init__(self, cluster: RayCluster, cache: ShardCache, engine: str, batch_rows: int) -> None:
        import ray

        self._cluster = cluster
        self._order = RayOrder(
            recipe=ray.put(msgspec.msgpack.encode(cache.recipe)),
            fingerprint=cache.recipe.fingerprint,
            store=cache.pack.store.url,
            engine=engine,
            batch_rows=batch_rows,
            version=__version__,
        )
        self._task: Any = ray.remote(pack_on_node)
        self._running: dict[int, Any] = {}
        """Ray's reference to each unit's task."""
        self._ended: SimpleQueue[tuple[int, Future[Result]]] = SimpleQueue()

    def pack(self, units: list[int], encoder: Encoder, made: PackProgress) -> Generator[ShardEntry, None, None]:
        """Pack the units; each entry when its shard is in the store. Raises the first error, and ends the others.

        `encoder` is this process's: a worker opens its own.
        """
        waiting, left = iter(units), len(units)
        most, looked_at = 0, float("-inf")
        try:
            while left:
                if time.monotonic() - looked_at > _LOOK_S:
                    most, looked_at = max(1, _AHEAD * self._cluster.cpus()), time.monotonic()
                for unit in islice(waiting, max(0, most - len(self._running))):
                    self._submit(unit)
                if (entry := self._next(made)) is not None:
                    left -= 1
                    yield entry
        finally:
            self._break_off()

    def _submit(self, unit: int) -> None:
        options = self._task.options(num_cpus=1, max_retries=_DEATHS, name=f"ten pack {unit}")
        self._running[unit] = task = options.remote(self._order, unit)
        task.future().add_done_callback(lambda future: self._ended.put((unit, future)))

    def _next(self, made: PackProgress) -> ShardEntry | None:
        """What a task that has ended came to; None when none ends for a while."""
        try:
            unit, future = self._ended.get(timeout=_LOOK_S)
        except Empty:
            return None
        del self._running[unit]
        entry, text_bytes = _result(unit, future)
        made.start(Work(text_bytes=text_bytes))
        made.finish()
        return entry

    def _break_off(self) -> None:
        """End the tasks that nobody waits for any more."""
        import ray

        tasks = list(self._running.values())
        self._running.clear()
        self._ended = SimpleQueue()
        for task in tasks:
            ray.cancel(task)
        if tasks:
            ray.wait(tasks, num_returns=len(tasks), timeout=_LEAVE_S)


def _result(unit: int, future: "Future[Result]") -> Result:
    """What a task returned. Raises the error of ours that it raised; ServiceUnavailable when its workers died."""
    from ray.exceptions import RayError, RayTaskError

    try:
        return future.result()
    except TenError as error:
        raise own_error(error) from None
    except RayTaskError as error:
        if isinstance(error, ImportError):
            raise version_error("", __version__) from error
        raise
    except (RayError, ConnectionError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ServiceUnavailable(
            f"Ray gave up on unit {unit} after {_DEATHS} new attempts: {why}; see the logs of the workers, which may "
            "want more memory, then run the same command again: shards that were made are kept"
        ) from None
