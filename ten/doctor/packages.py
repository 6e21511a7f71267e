"""Packages: the Python that runs and the versions it has, beside those that the lock file pins."""

import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ten
from ten.doctor.finding import Verdict, fail, ok, skipped, warn

LOCK = Path(ten.__file__).parents[1] / "requirements.lock"
_OLDEST = (3, 11)
_NAMED = 5
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([^\s;]+)")


def check_python() -> Verdict:
    """Whether this Python is new enough."""
    found = platform.python_version()
    if sys.version_info < _OLDEST:
        return fail(f"Python {found}", "Python 3.11 or newer is needed: make setup PYTHON=python3.11")
    return ok(f"Python {found}")


def check_packages(lock: Path = LOCK) -> Verdict:
    """Whether what is installed has the versions of the lock file; torch's variant (+cpu, +cu130) may differ."""
    torch = installed("torch")
    if torch is None:
        return fail("torch is not installed", "make setup")
    if not lock.is_file():
        return skipped(f"torch {torch}; no {lock.name} beside this package to compare with")
    pinned = read_lock(lock.read_text(encoding="utf-8"))
    found = {name: installed(name) for name in pinned}
    odd = [
        f"{name} {here} instead of {pinned[name]}"
        for name, here in found.items()
        if here is not None and _plain(here) != _plain(pinned[name])
    ]
    missing = sum(here is None for here in found.values())
    if odd:
        told = ", ".join(odd[:_NAMED]) + (f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else "")
        return warn(f"torch {torch}; not as locked: {told}", "make setup makes the environment that was tested")
    return ok(
        f"torch {torch}; {len(found) - missing} packages as locked" + (f", {missing} not here" if missing else "")
    )


def installed(name: str) -> str | None:
    """A package's version; None where it is not there. Nothing is imported."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def read_lock(text: str) -> Mapping[str, str]:
    """Names and versions in a lock file."""
    return {match[1]: match[2] for line in text.splitlines() if (match := _PIN.match(line))}


def _plain(found: str) -> str:
    return found.partition("+")[0]
