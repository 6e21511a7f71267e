"""A cluster and its bucket, event by event: nodes that pull the same shards in the same order, or push their own.

Requests are what matters here: who asks when, what the bucket refuses, who waits. The bucket lets in so many in every
second of the clock, and a refused request is sent again after the pause that our client makes.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from ten.calls.retry import backoff_s
from ten.data.order import era_bounds


class Network(NamedTuple):
    """What lies between nodes and bucket, and what the bucket allows. All but the limits is assumed, not known."""

    bucket_per_s: int = 800
    latency_s: float = 0.05
    connection_bytes_per_s: float = 50e6
    node_bytes_per_s: float = 1.25e9
    connections: int = 8
    """Of a node."""
    pulls: int = 2
    """Shards that a node pulls side by side."""


class Seen(NamedTuple):
    """What the bucket saw."""

    seconds: float
    requests: int
    busiest: int
    """Requests let in within one second, at most."""
    refused: int
    bytes: int
    waited_s: float
    """Seconds that the work stood still for want of shards, after its start."""
    started_s: float
    """When every node had what it needs to begin."""


class Cluster:
    """A clock, a bucket and whoever sends requests to it."""

    def __init__(self, network: Network, seed: int = 0) -> None:
        self.network = network
        self.random = random.Random(seed)
        self.now = 0.0
        self.let_in: Counter[int] = Counter()
        self.refused = self.bytes = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._number), do))

    def request(self, size: int, done: Callable[[], None], tries: int = 0) -> None:
        """One request that moves so many bytes; `done` when it is answered, after as many tries as that takes."""
        if self.let_in[int(self.now)] >= self.network.bucket_per_s:
            self.refused += 1
            self.after(backoff_s(tries, self.random.random()), lambda: self.request(size, done, tries + 1))
            return
        self.let_in[int(self.now)] += 1
        self.bytes += size
        network = self.network
        rate = min(network.connection_bytes_per_s, network.node_bytes_per_s / network.connections)
        self.after(network.latency_s * self.random.uniform(0.8, 1.6) + size / rate, done)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Let time pass."""
        while self._events and not is_over():
            self.now, _, do = heapq.heappop(self._events)
            do()

    def seen(self, waited_s: float = 0.0, started_s: float = 0.0) -> Seen:
        """What there is to say at the end."""
        requests, busiest = self.let_in.total(), max(self.let_in.values(), default=0)
        return Seen(self.now, requests, busiest, self.refused, self.bytes, waited_s, started_s)


class _Connections:
    """One node's connections, each of which takes the next chain of requests when it is free."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._free = cluster.network.connections
        self._waiting: deque[tuple[Iterator[int], Callable[[], None]]] = deque()

    def send(self, sizes: Sequence[int], done: Callable[[], None]) -> None:
        """Send requests one after another."""
        self._waiting.append((iter(sizes), done))
        self._take()

    def _take(self) -> None:
        if self._free and self._waiting:
            self._free -= 1
            self._go_on(*self._waiting.popleft())

    def _go_on(self, sizes: Iterator[int], done: Callable[[], None]) -> None:
        size = next(sizes, None)
        if size is not None:
            self._cluster.request(size, lambda: self._go_on(sizes, done))
            return
        self._free += 1
        done()
        self._take()


class _Pulls:
    """One node's pulls: so many shards at a time, of each the first request alone and then the others side by side."""

    def __init__(self, cluster: Cluster) -> None:
        self._connections = _Connections(cluster)
        self._free = cluster.network.pulls
        self._waiting: deque[tuple[Sequence[int], Callable[[], None]]] = deque()

    def begin(self, sizes: Sequence[int], done: Callable[[], None]) -> None:
        """Send what comes before any shard."""
        self._connections.send(sizes, done)

    def pull(self, sizes: Sequence[int], done: Callable[[], None]) -> None:
        """Pull a shard by requests of these bytes."""
        self._waiting.append((sizes, done))
        self._take()

    def _take(self) -> None:
        if not self._free or not self._waiting:
            return
        self._free -= 1
        (first, *rest), done = self._waiting.popleft()

        def arrived() -> None:
            self._free += 1
            done()
            self._take()

        def go_on() -> None:
            each = _countdown(len(rest), arrived)
            for size in rest:
                self._connections.send([size], each)

        self._connections.send([first], go_on if rest else arrived)


class _Training:
    """Nodes that train in step: an era begins when every node has all its shards, and then they ask for the next."""

    def __init__(self, cluster: Cluster, nodes: int, shard: Sequence[int], shard_s: float) -> None:
        self._cluster, self._shard, self._shard_s = cluster, shard, shard_s
        self._nodes = [_Pulls(cluster) for _ in range(nodes)]
        self._ready: Counter[int] = Counter()
        """Nodes that have an era's shards."""
        self._ends = 0.0
        """When the era that runs ends."""
        self.era = -1
        self.started_s = self.waited_s = 0.0

    def start(self, requests: Sequence[int]) -> None:
        """What every node sends before it can train on its first rows."""
        for node in self._nodes:
            node.begin(requests, lambda: self._has(0))

    def _has(self, era: int) -> None:
        self._ready[era] += 1
        self._begin(self.era + 1)

    def _begin(self, era: int) -> None:
        if self.era >= era or self._ready[era] < len(self._nodes) or self._cluster.now < self._ends:
            return
        if era:
            self.waited_s += self._cluster.now - self._ends
        else:
            self.started_s = self._cluster.now
            self._ask(0, then=lambda: None)  # the rest of the shard that the first rows are from
        length = _units(era) * self._shard_s
        self.era, self._ends = era, self._cluster.now + length
        self._ask(era + 1, then=lambda: self._has(era + 1))
        self._cluster.after(length, lambda: self._begin(era + 1))

    def _ask(self, era: int, then: Callable[[], None]) -> None:
        for node in self._nodes:
            arrived = _countdown(_units(era), then)
            for _ in range(_units(era)):
                node.pull(self._shard, arrived)


def _units(era: int) -> int:
    """Shards of an era of the first epoch."""
    return len(era_bounds(0, era, 2**40))


def _countdown(times: int, then: Callable[[], None]) -> Callable[[], None]:
    """A function that calls `then` when it is called for the last of so many times."""
    left = times

    def step() -> None:
        nonlocal left
        left -= 1
        if not left:
            then()

    return step


def simulate_training(
    network: Network, nodes: int, start: Sequence[int], shard: Sequence[int], shard_s: float, eras: int
) -> Seen:
    """Nodes that begin on empty disks.

    `start` are the bytes of each request that a node sends before its first step, `shard` those for a shard, `shard_s`
    is what training on a shard takes.
    """
    cluster = Cluster(network)
    training = _Training(cluster, nodes, shard, shard_s)
    training.start(start)
    cluster.run(lambda: training.era >= eras)
    return cluster.seen(training.waited_s, training.started_s)


def simulate_packing(
    network: Network, nodes: int, workers: int, shard: Sequence[int], shard_s: float, seconds: float
) -> tuple[Seen, int]:
    """Nodes whose workers each make a shard in about `shard_s` and hand it to the node's uploads; shards sent."""
    cluster, sent = Cluster(network), 0

    def arrived() -> None:
        nonlocal sent
        sent += 1

    def work(node: _Connections) -> None:
        node.send(shard, arrived)
        cluster.after(shard_s * cluster.random.uniform(0.8, 1.2), lambda: work(node))

    for _ in range(nodes):
        node = _Connections(cluster)
        for _ in range(workers):
            cluster.after(shard_s * cluster.random.uniform(0.0, 1.0), lambda node=node: work(node))  # type: ignore[misc]
    cluster.run(lambda: cluster.now >= seconds)
    return cluster.seen(), sent
