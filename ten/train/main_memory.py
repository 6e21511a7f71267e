"""Main memory: what the machine has, or the container where that has less, and what of it is to be had. No torch."""

import re
from pathlib import Path

ROOT = Path("/")
_KIB = 1024


def total_bytes(system: Path = ROOT) -> int | None:
    """All of it, as the files of a Linux `system` tell; None where they do not."""
    return _least(_stated(system, "MemTotal"), _limit(system, "memory.max"))


def available_bytes(system: Path = ROOT) -> int | None:
    """What could be had without swapping; None where the system does not tell."""
    limit, used = _limit(system, "memory.max"), _limit(system, "memory.current")
    left = None if limit is None or used is None else max(0, limit - used)
    return _least(_stated(system, "MemAvailable"), left)


def _least(*sizes: int | None) -> int | None:
    return min((size for size in sizes if size is not None), default=None)


def _stated(system: Path, name: str) -> int | None:
    kibibytes = _number(system / "proc/meminfo", rf"^{name}:\s*(\d+) kB")
    return None if kibibytes is None else kibibytes * _KIB


def _limit(system: Path, name: str) -> int | None:
    """A number of this container's group; None outside of one, or where it has no limit ("max")."""
    return _number(system / "sys/fs/cgroup" / name, r"^(\d+)$")


def _number(path: Path, pattern: str) -> int | None:
    try:
        match = re.search(pattern, path.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:  # another system, or one that does not tell
        return None
    return int(match[1]) if match else None
