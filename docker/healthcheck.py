"""Whether this container's training makes progress: the age of its last step. Exit code 0, or 1 with the reason.

The process that trains a run holds the run's folder open and appends a line to its metrics.jsonl with every step, so
nothing need be told where the run lies. Before the first attempt of this process has begun (a download, a pack), and
where nothing trains, there is no step to be late. TEN_UNHEALTHY_AFTER is the longest time between steps in seconds,
evaluations and checkpoints included: 900 when unset. Docker marks the container and leaves it running.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

DEFAULT_LIMIT_S = 900.0


def main(proc: Path = Path("/proc")) -> int:
    """Look at every run that a process here holds."""
    limit = float(os.environ.get("TEN_UNHEALTHY_AFTER") or DEFAULT_LIMIT_S)
    code = 0
    for folder, began in sorted(held_runs(proc)):
        quiet = quiet_seconds(folder, began)
        if quiet is None:
            print(f"{folder}: getting ready")
            continue
        code |= quiet > limit
        print(f"{folder}: {quiet:.0f} s without a step" + (f", more than {limit:.0f}" if quiet > limit else ""))
    return code


def held_runs(proc: Path) -> Iterator[tuple[Path, float]]:
    """Folders of runs that a process of this user holds open, and when that process began, by the wall clock."""
    for process in proc.glob("[0-9]*"):
        try:
            opened = {_target(descriptor) for descriptor in (process / "fd").iterdir()}
            began = start(process)
        except OSError:  # another user's, or it has just ended
            continue
        yield from ((path, began) for path in opened if path and _is_run(path))


def start(process: Path) -> float:
    """When a process began: field 22 of its stat, in ticks since the machine's (proc(5))."""
    ticks = int((process / "stat").read_text().rpartition(")")[2].split()[19])
    uptime = float((process.parent / "uptime").read_text().split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def quiet_seconds(folder: Path, began: float) -> float | None:
    """Since the last step of a run, or the beginning of its attempt; None while it is still getting ready."""
    attempt = _changed(folder / "run.json")
    if attempt is None or attempt < began - 1:  # ticks and file times are coarse
        return None
    return time.time() - max(attempt, _changed(folder / "metrics.jsonl") or 0.0)


def _is_run(path: Path) -> bool:
    """runs/RUN where the store is a folder, runs/STORE/RUN in the cache in front of another."""
    return "runs" in (path.parent.name, path.parent.parent.name) and (path / "run.json").is_file()


def _target(descriptor: Path) -> Path | None:
    try:
        return descriptor.readlink()
    except OSError:  # closed meanwhile
        return None


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
