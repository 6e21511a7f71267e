"""Engine checks: whether containers can be started here, with a GPU, from an image that is there."""

import os
from collections.abc import Sequence
from pathlib import Path

from ten.doctor.finding import Verdict, fail, ok, skipped, warn
from ten.doctor.subject import Subject
from ten.doctor.whereabouts import ask

_CDI = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where descriptions of devices lie that engines can hand to containers without a runtime of their own."""
_NONE = "no container engine answers here"


def check_engine(subject: Subject) -> Verdict:
    """Whether docker or podman answers."""
    where = subject.where
    if where.engine is not None:
        return ok(f"{where.engine} answers")
    if where.kind == "container":
        return skipped("this is a container, without an engine in it")
    if where.silent:
        told = f"{' and '.join(where.silent)}: installed, and no engine answers; jobs run in the virtual environment"
        return warn(told, "start it (sudo systemctl start docker), or let this user reach it (group docker)")
    return skipped(_NONE)


def check_runtime(subject: Subject, cdi: Sequence[Path] = _CDI) -> Verdict:
    """Whether the engine can give a container the GPUs that are here."""
    where = subject.where
    if where.engine is None:
        return skipped(_NONE)
    if subject.gpus is None:
        return skipped("no NVIDIA GPU answers here")
    described = any(path.is_dir() and any(path.iterdir()) for path in cdi)
    if "nvidia" in where.runtimes or described:
        return ok(f"{where.engine} can give containers the GPU")
    return fail(
        f"{where.engine} has neither the runtime `nvidia` nor a device described in {cdi[0]}",
        "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker, and restart it",
    )


def check_image(subject: Subject) -> Verdict:
    """Whether the image that `make` would use is there."""
    where = subject.where
    if where.engine is None:
        return skipped(_NONE)
    named = os.environ.get("IMAGE") or os.environ.get("TEN_IMAGE")
    names = [named] if named else ["ten:cuda"] if subject.gpus else ["ten:cpu", "ten:cuda"]
    for name in names:
        if ask(where.engine, "image", "inspect", name) is not None:
            return ok(f"{name} is there")
    if named:
        return warn(f"{named}: not here yet", f"{where.engine} pull {named}")
    return warn(f"{where.engine} has no image {names[0]}: jobs run in the virtual environment", "make image")
