"""Ray cluster: which one `--on` names, the connection to it, and whether its nodes can pack for this machine."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from ten import __version__
from ten.data.ray_worker import version_error
from ten.errors import CredentialsError, ServiceUnavailable, SpecError, TenError
from ten.settings import nearest

log = logging.getLogger(__name__)

_CLIENT_PORT = 10001
_KNOCK_S = 5.0
"""How long a head node may take to accept a connection; Ray itself tries for minutes."""
_LOOK_S = 120.0
"""How long a node may take to start a process and look at the store."""

_TOKEN = "; if it wants a token, set RAY_AUTH_MODE=token here, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"


class RayCluster:
    """A cluster by its name on the command line: `ray` is the one of RAY_ADDRESS or this machine, else a new one here.

    `ray://HOST:PORT` is one to be reached through Ray's client server.
    """

    def __init__(self, place: str) -> None:
        """Raises SpecError for a place that cannot be, and when Ray is not installed. Nothing is asked yet."""
        self._client = _client_address(place)
        if find_spec("ray") is None:
            raise SpecError(f"--on {place}: Ray is not installed; pip install 'ten[ray]'")

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Be connected, and end what Ray has started here.

        Raises ServiceUnavailable when the cluster does not answer and CredentialsError when it wants another token.
        What Ray has to say goes to stderr: stdout is for results.
        """
        import ray

        stop = signal.getsignal(signal.SIGTERM)
        with redirect_stdout(sys.stderr):
            try:
                self._connect()
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, stop)  # Ray has put its own there
                yield
            finally:
                ray.shutdown()

    def cpus(self) -> int:
        """CPUs of all nodes now. Raises ServiceUnavailable when the connection is lost."""
        import ray

        try:
            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            return int(resources.get("CPU", 0))
        except (ConnectionError, ray.exceptions.RaySystemError) as error:
            raise ServiceUnavailable(
                f"the connection to Ray is lost ({_brief(error)}); shards that were made are kept, run the same "
                "command again when the cluster is there"
            ) from None

    def check_nodes(self, store: str, mark: str) -> int:
        """Have every node with a CPU prove that it has this version of the package and sees the store; how many have.

        Raises SpecError naming a node that has another version, or does not find the object `mark` in the store, and
        what the store raises there.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        nodes = [node for node in found if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        if not nodes:
            raise ServiceUnavailable("Ray: no node of the cluster has a CPU to pack with; start one with `ray start`")
        asked = {
            ray.remote(_made_look(store, mark))
            .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
            .remote(): node["NodeManagerHostname"]
            for node in nodes
        }
        ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=_LOOK_S)
        for answer in ready:
            _check_answer(answer, asked[answer])
        if late:
            raise ServiceUnavailable(
                f"Ray node {asked[late[0]]}: did not look at the store within {_LOOK_S:.0f} s; see its logs, or end "
                "it with `ray stop`"
            )
        return len(ready)

    def _connect(self) -> None:
        import ray

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        address = self._client or os.environ.get("RAY_ADDRESS", "")
        try:
            if address:
                _knock(address)
                ray.init(address, **quiet)
                return
            try:
                ray.init("auto", **quiet)
            except ConnectionError:
                log.info("no Ray cluster is there: one is started on this machine")
                ray.init("local", include_dashboard=False, **quiet)
        except (OSError, RuntimeError) as error:
            if "ersion mismatch" in str(error):
                raise SpecError(f"Ray at {address or 'this machine'}: {_brief(error)}; install the same here") from None
            raise ServiceUnavailable(
                f"Ray at {address or 'this machine'} does not answer: {_brief(error)}; check that `ray start --head` "
                f"runs there{_TOKEN}"
            ) from None
        except ray.exceptions.AuthenticationError as error:
            raise CredentialsError(f"Ray at {address or 'this machine'}: {_brief(error)}{_TOKEN}") from None


def _client_address(place: str) -> str | None:
    """`ray://HOST:PORT`, or None for plain `ray`."""
    scheme, separator, rest = place.partition("://")
    if scheme != "ray":
        raise SpecError(
            f"--on {place!r}: is no place to pack on; {nearest(place, ['ray'])} Write ray for the cluster of this "
            f"machine or of RAY_ADDRESS (HOST:6379), or ray://HOST:{_CLIENT_PORT} for a Ray client server"
        )
    if not separator:
        return None
    parts = urlsplit(f"//{rest}")
    try:
        host, port = parts.hostname, parts.port or _CLIENT_PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.path or parts.query or parts.username:
        raise SpecError(f"--on {place!r}: write ray://HOST:{_CLIENT_PORT}, the head node and its client server's port")
    return f"ray://{host}:{port}"


def _knock(address: str) -> None:
    """Raises OSError when nobody listens at an address with a port."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=_KNOCK_S).close()


def _made_look(store: str, mark: str) -> Callable[[], str]:
    """A task that is sent as it stands, for a node may not have this package; it returns the version that is there."""
    ours = __version__

    def look() -> str:
        try:
            import ten
        except ImportError:
            return ""
        if ten.__version__ == ours:
            from ten.data.ray_worker import see_mark

            see_mark(store, mark)
        return ten.__version__

    return look


def _check_answer(answer: Any, node: str) -> None:
    import ray

    try:
        if (version := ray.get(answer)) != __version__:
            raise version_error(version, __version__)
    except TenError as error:
        raise own_error(error, f"Ray node {node}: ") from None
    except ray.exceptions.RayError as error:
        log.warning("Ray node %s has left: %s", node, _brief(error))


def own_error(error: TenError, before: str = "") -> TenError:
    """An error of ours as it was before Ray has wrapped it."""
    cause = getattr(error, "cause", error)
    return type(cause)(f"{before}{cause}")


def _brief(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
