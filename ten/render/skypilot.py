"""A job as a SkyPilot task: one `docker run` on a machine that is destroyed behind it."""

import shlex
from typing import Any

from ten.job import JobSpec
from ten.render.container import Container
from ten.render.docker import docker_options
from ten.render.document import document

IDLE_MINUTES = 5
"""From the end of the job to the end of the machine."""


def render_skypilot(spec: JobSpec) -> str:
    """A task; raises SpecError where the job needs what only this machine has.

    Autostop is always with `down: true`: DigitalOcean goes on billing a machine that is stopped.
    """
    container = Container(spec)
    container.require_portable("SkyPilot")
    tree: dict[str, Any] = {"name": spec.name, "resources": _resources(container)}
    if container.plain:
        tree["envs"] = container.plain
    if container.secrets:
        tree["secrets"] = dict.fromkeys(container.secrets)
    run = ["docker run --rm --name ten", *docker_options(container), container.image, shlex.join(container.command)]
    tree["run"] = " \\\n  ".join(run) + "\n"
    passed = "".join(f" --secret {name}" for name in container.secrets)
    return document(tree, f"sky launch FILE{passed}")


def _resources(container: Container) -> dict[str, Any]:
    wanted = container.spec.resources
    tree: dict[str, Any] = {}
    if wanted.ordered:
        tree["ordered"] = [{"infra": offer.infra, "instance_type": offer.instance_type} for offer in wanted.ordered]
    elif wanted.accelerators:
        tree["accelerators"] = wanted.accelerators
    if container.disk_gigabytes is not None:
        tree["disk_size"] = container.disk_gigabytes
    if wanted.price_per_hour:
        tree["max_hourly_cost"] = wanted.price_per_hour
    return {**tree, "autostop": {"idle_minutes": IDLE_MINUTES, "down": True}}
