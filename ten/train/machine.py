"""What an attempt runs on and from: processor, memory, driver, image and revision; no name of a host among them."""

import os
import re
import subprocess
from pathlib import Path

import msgspec

from ten.train.main_memory import ROOT, total_bytes

_SOURCE = Path(__file__).parents[2]
_GIT_S = 10.0
_UNKNOWN = "unknown"


class Machine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a receipt that says where and from what; None where it cannot be told."""

    cpu: str | None = None
    """The processor's name."""
    cores: int | None = None
    """Processors that this process may use."""
    memory_bytes: int | None = None
    """Of the machine, or of the container where that has less."""
    driver: str | None = None
    """Version of the GPU's driver."""
    image: str | None = None
    """The container's image as whoever started it names it (TEN_IMAGE)."""
    revision: str | None = None
    """Commit of the source: the image's (TEN_REVISION), else the working folder's, with a + where files differ."""


def this_machine(system: Path = ROOT) -> Machine:
    """The machine at hand, as the files of a Linux `system` tell; elsewhere less is known. Takes milliseconds."""
    return Machine(
        cpu=processor(system),
        cores=cores(),
        memory_bytes=total_bytes(system),
        driver=_found(system / "proc/driver/nvidia/version", r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s"),
        image=os.environ.get("TEN_IMAGE") or None,
        revision=_revision(),
    )


def processor(system: Path = ROOT) -> str | None:
    """The processor's name; None where the system does not tell."""
    return _found(system / "proc/cpuinfo", r"^model name\s*:\s*(.+)$")


def cores() -> int | None:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _found(path: Path, pattern: str) -> str | None:
    try:
        match = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:  # another system, or one that does not tell
        return None
    return match[1].strip() if match else None


def _revision() -> str | None:
    baked = os.environ.get("TEN_REVISION", "")
    if baked and baked != _UNKNOWN:
        return baked
    if not (_SOURCE / ".git").exists():
        return None
    commit = _git("rev-parse", "HEAD")
    return commit and commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*words: str) -> str | None:
    try:
        command = ["git", "-C", str(_SOURCE), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_S)
    except (OSError, subprocess.SubprocessError):  # no git, or a folder of another user
        return None
    return done.stdout.strip() or None
