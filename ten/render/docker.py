"""A job as one `docker run`, for any machine with an engine."""

import shlex

from ten.job import JobSpec
from ten.render.container import DATA, MEMLOCK, STACK, Container

_USER = '"$(id -u):$(id -g)"'


def render_docker(spec: JobSpec) -> str:
    """A shell script that runs the job to its end."""
    container = Container(spec)
    lines = [
        f"docker run --rm --name {shlex.quote(spec.name)}",
        *docker_options(container),
        *([f"--user {_USER}"] if container.folder else []),
        container.image,
        *_paired(container.command),
    ]
    says = f"# The job {spec.name}. Stop it with `docker stop {spec.name}`: a checkpoint is written, exit code 75.\n"
    made = [f"mkdir -p {shlex.quote(str(container.folder))}"] if container.folder else []
    return "\n".join(["#!/bin/sh", f"{says}set -eu", *made, "exec " + " \\\n  ".join(lines)]) + "\n"


def docker_options(container: Container) -> list[str]:
    """What stands between `docker run` and the image, a quoted option each."""
    pairs = [
        *([("--gpus", str(container.gpus))] if container.gpus else []),
        ("--shm-size", str(container.shm_bytes)),
        ("--ulimit", f"memlock={MEMLOCK}"),
        ("--ulimit", f"stack={STACK}"),
        ("--stop-timeout", str(container.grace_s)),
        ("--tmpfs", "/tmp"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges"),
        ("--env", f"TEN_IMAGE={container.image}"),
        *(("--env", name) for name in [*container.secrets, *container.plain]),
        ("--volume", f"{container.folder or 'ten-data'}:{DATA}"),
        *(("--volume", f"{folder}:{folder}:ro") for folder in container.read_folders),
    ]
    return ["--read-only", *(f"{option} {shlex.quote(value)}" for option, value in pairs)]


def _paired(command: list[str]) -> list[str]:
    """A command with each `--set` and its value on one line."""
    verb, *rest = command
    return [verb, *(shlex.join(rest[at : at + 2]) for at in range(0, len(rest), 2))]
