"""Unit: the systemd unit under which a job runs on a droplet: one container, stopped in time for its checkpoint."""

import msgspec

from ten.cloud.offers import Candidate
from ten.errors import ServiceUnavailable, StoreError
from ten.job import JobSpec
from ten.render.container import MEMLOCK, STACK
from ten.units import parse_bytes, parse_seconds

NAME = "ten-job.service"
CONTAINER = "ten-job"
DATA, JOB, ENVIRONMENT = "/var/lib/ten/data", "/var/lib/ten/job", "/run/ten/env"
JOB_FILE = "job.yaml"
_UID = 10001
_STARTS, _AGAIN_S = 6, 120
"""A job that a store or the hub has failed is started again, so often and after so many seconds: what it has saved is
on this disk alone, and the disk goes with the droplet."""
_DOCKER = "/usr/bin/docker"


def job_unit(spec: JobSpec, machine: Candidate) -> str:
    """The unit's text. Nothing secret is in it."""
    grace_s = round(parse_seconds(spec.limits.stop_grace))
    lines = [
        "[Unit]",
        "Description=TEN job",
        "Requires=docker.service",
        "After=docker.service ten-guard.service",
        "StartLimitIntervalSec=1d",
        f"StartLimitBurst={_STARTS}",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStartPre=/usr/bin/install -d -o {_UID} -g {_UID} {DATA}",
        f"ExecStartPre=-{_DOCKER} rm --force {CONTAINER}",
        f"ExecStart={' '.join(map(_quoted, container(spec, machine)))}",
        f"ExecStop={_DOCKER} stop -t {grace_s} {CONTAINER}",
        "SuccessExitStatus=75",
        "KillMode=mixed",
        f"TimeoutStopSec={grace_s + 30}",
        f"RestartForceExitStatus={ServiceUnavailable.exit_code} {StoreError.exit_code}",
        f"RestartSec={_AGAIN_S}",
        "",
    ]
    return "\n".join(lines)


def container(spec: JobSpec, machine: Candidate) -> list[str]:
    """The command that runs the job to its end."""
    grace_s = round(parse_seconds(spec.limits.stop_grace))
    verb = "pack" if spec.mode == "pack" else "train"
    return [
        _DOCKER, "run", "--rm", "--name", CONTAINER, *(("--gpus", "all") if machine.is_gpu else ()),
        "--shm-size", str(parse_bytes(spec.resources.shm_size)),
        "--ulimit", f"memlock={MEMLOCK}", "--ulimit", f"stack={STACK}",
        "--stop-timeout", str(grace_s), "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--log-driver", "none", "--env-file", ENVIRONMENT,
        "--env", "TEN_CACHE_DIR=/data/cache", "--env", f"TEN_IMAGE={spec.image}", "--env", "TEN_UNATTENDED=1",
        "--volume", f"{DATA}:/data", "--volume", f"{JOB}:/job:ro",
        str(spec.image), verb, f"/job/{JOB_FILE}",
    ]  # fmt: skip


def job_file(spec: JobSpec, price_per_hour: float, run: str, budget: float | None) -> str:
    """The job as the droplet gets it: everything resolved, its run named, with the price it is billed at.

    `budget`: what the job itself may still cost, dollars of all attempts; None without a limit.
    """
    resources = msgspec.structs.replace(spec.resources, price_per_hour=price_per_hour)
    limits = msgspec.structs.replace(spec.limits, max_cost=budget)
    own = msgspec.structs.replace(spec, resources=resources, limits=limits, run=run)
    if own.data.cache_dir is not None:
        own = msgspec.structs.replace(own, data=msgspec.structs.replace(own.data, cache_dir=None))
    return msgspec.json.format(msgspec.json.encode(own), indent=2).decode() + "\n"


def _quoted(word: str) -> str:
    """A word of a unit's command line, in which % and $ mean something."""
    word = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{word}"' if not word or set(word) & set(" '\"") else word
