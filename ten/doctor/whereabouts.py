"""Whereabouts: whether this process is in a container, on a machine with a container engine, or on one without."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
_ENGINES = ("docker", "podman")
_PATIENCE_S = 20.0


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job would run that is started from here."""

    kind: Literal["container", "host", "machine"]
    """Where an engine answers (host), else in a container, else in the virtual environment (machine)."""
    engine: str | None = None
    runtimes: tuple[str, ...] = ()
    """Docker's, by name."""
    silent: tuple[str, ...] = ()
    """Engines that are installed and do not answer."""


def find_whereabouts(environment: Mapping[str, str] = os.environ, marks: Sequence[Path] = _MARKS) -> Whereabouts:
    """An engine, looked for as `docker/run.sh` does (ENGINE names one or none), else a container around all this."""
    wanted = environment.get("ENGINE") or "auto"
    names = _ENGINES if wanted == "auto" else () if wanted == "none" else tuple(wanted.split())
    silent: list[str] = []
    for name in names:
        if shutil.which(name) is None:
            continue
        said = ask(name, "info", *(("--format", "{{json .Runtimes}}") if name == "docker" else ()))
        if said is not None:
            return Whereabouts(kind="host", engine=name, runtimes=_runtimes(name, said), silent=tuple(silent))
        silent.append(name)
    inside = environment.get("container") or any(mark.exists() for mark in marks)
    return Whereabouts(kind="container" if inside else "machine", silent=tuple(silent))


def ask(*command: str, patience_s: float = _PATIENCE_S) -> str | None:
    """What a program says on its standard output; None where it fails, hangs or is not there."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=patience_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _runtimes(engine: str, said: str) -> tuple[str, ...]:
    if engine != "docker":
        return ()
    try:
        tree = json.loads(said)
    except ValueError:
        return ()
    return tuple(tree) if isinstance(tree, dict) else ()
