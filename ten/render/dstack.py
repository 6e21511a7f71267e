"""A job as a dstack task."""

import math
import shlex
from typing import Any

from ten.job import JobSpec
from ten.render.container import Container
from ten.render.document import document
from ten.units import parse_seconds

_BACKENDS = {"do": "digitalocean"}
"""Providers that dstack calls otherwise than SkyPilot does."""
_SHORTEST_WINDOW_S = 300
_BEHIND_S = 60
"""A limit of dstack's own comes so long after that of the job, which ends with a checkpoint."""


def render_dstack(spec: JobSpec) -> str:
    """A task; raises SpecError where the job needs what only this machine has."""
    container = Container(spec)
    container.require_portable("dstack")
    tree: dict[str, Any] = {
        "type": "task",
        "name": spec.name.lower().replace(".", "-").replace("_", "-"),
        "image": container.image,
        "commands": [shlex.join(["ten", *container.command])],
        "env": [
            *container.secrets,
            *(f"{name}={value}" for name, value in {**container.plain, "TEN_IMAGE": container.image}.items()),
        ],
        "resources": _resources(container),
        **_machines(spec),
        **_limits(spec),
        "retry": {"on_events": ["no-capacity", "interruption"], "duration": "1d"},
        "idle_duration": "0s",
    }
    return document({name: value for name, value in tree.items() if value}, "dstack apply -f FILE")


def _resources(container: Container) -> dict[str, Any]:
    wanted = container.spec.resources
    tree: dict[str, Any] = {"shm_size": _gigabytes(container.shm_bytes)}
    if wanted.gpu is not None:
        tree["gpu"] = ":".join(str(part) for part in wanted.gpu)
    if container.disk_gigabytes is not None:
        tree["disk"] = f"{container.disk_gigabytes}GB.."
    return tree


def _machines(spec: JobSpec) -> dict[str, Any]:
    offers = spec.resources.ordered
    infra = [offer.infra.partition("/") for offer in offers]
    return {
        "backends": list(dict.fromkeys(_BACKENDS.get(provider, provider) for provider, _, _ in infra)),
        "regions": list(dict.fromkeys(region for _, _, region in infra if region)),
        "instance_types": list(dict.fromkeys(offer.instance_type for offer in offers)),
    }


def _limits(spec: JobSpec) -> dict[str, Any]:
    grace = round(parse_seconds(spec.limits.stop_grace))
    tree: dict[str, Any] = {"stop_duration": f"{grace}s"}
    if spec.limits.max_duration is not None:
        tree["max_duration"] = f"{round(parse_seconds(spec.limits.max_duration)) + grace + _BEHIND_S}s"
    if spec.limits.idle is not None and spec.resources.gpu is not None:
        window = max(_SHORTEST_WINDOW_S, round(parse_seconds(spec.limits.idle)) + grace)
        tree["utilization_policy"] = {"min_gpu_utilization": 1, "time_window": f"{window}s"}
    if spec.resources.price_per_hour:
        tree["max_price"] = spec.resources.price_per_hour
    return tree


def _gigabytes(count: int) -> str:
    return f"{math.ceil(count / 10**9)}GB"
