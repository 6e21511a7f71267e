"""Examination: every check in its order, each to an end: what a check raises is a finding too."""

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ten.doctor.engine import check_engine, check_image, check_runtime
from ten.doctor.env_file import check_alike, check_private, env_path
from ten.doctor.finding import Finding, Verdict, fail, hide_secrets, refused, skipped
from ten.doctor.gpu import check_driver, check_kernel, check_memory
from ten.doctor.packages import check_packages, check_python
from ten.doctor.renting import check_lease_token, check_renting
from ten.doctor.room import check_checkpoint, check_disk, check_shared_memory
from ten.doctor.sources import check_hub, check_plan, check_tokenizer
from ten.doctor.storage import check_clock, check_keys, check_round_trip, check_second_write
from ten.doctor.subject import Subject
from ten.errors import SpecError, TenError
from ten.logs import said_when_slow

log = logging.getLogger(__name__)

Check = Callable[[Subject], Verdict]
_SLOW_S = 2.0
"""After so long it is said what is being waited for."""
_PLANNED = {"hub", "disk", "GPU memory", "checkpoint"}
"""Checks that want the plan."""

CHECKS: Mapping[str, Check] = {
    "python": lambda _: check_python(),
    "packages": lambda _: check_packages(),
    ".env": lambda _: check_alike(env_path()),
    ".env private": lambda _: check_private(env_path()),
    "keys": check_keys,
    "engine": check_engine,
    "GPU runtime": check_runtime,
    "image": check_image,
    "driver": check_driver,
    "kernel": check_kernel,
    "store": check_round_trip,
    "second write": check_second_write,
    "clock": check_clock,
    "tokenizer": check_tokenizer,
    "plan": check_plan,
    "hub": check_hub,
    "GPU memory": check_memory,
    "shared memory": check_shared_memory,
    "disk": check_disk,
    "checkpoint": check_checkpoint,
    "renting": check_renting,
    "lease token": lambda _: check_lease_token(),
}
"""In their order: the plan asks the store, and a checkpoint gets there as fast as the round trip's bytes did."""


def examine(subject: Subject, checks: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """What each check finds, as it finds it."""
    failed: set[str] = set()
    for name, check in checks.items():
        verdict = _without(name, failed) or _checked(name, check, subject)
        if verdict.status == "fail":
            failed.add(name)
        yield Finding(
            check=name,
            status=verdict.status,
            value=hide_secrets(verdict.value),
            cure=None if verdict.cure is None else hide_secrets(verdict.cure),
        )


def exit_code(findings: list[Finding]) -> int:
    """0, or that of a wrong setting where anything failed."""
    return SpecError.exit_code if any(finding.status == "fail" for finding in findings) else 0


def _without(name: str, failed: set[str]) -> Verdict | None:
    """Skipped where what a check stands on has failed: the same fault is not told, or waited for, twice."""
    if name == "plan" and "store" in failed:
        return skipped("the store's round trip failed")
    if name in _PLANNED and failed & {"store", "plan"}:
        return skipped("it wants the plan, which there is not")
    return None


def _checked(name: str, check: Check, subject: Subject) -> Verdict:
    try:
        with said_when_slow(log, _SLOW_S, "checking: %s …", name):
            return check(subject)
    except TenError as error:
        return refused(str(error))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        told = f"the check itself failed at {where}: {type(error).__name__}: {error}"
        return fail(told, "a bug of ours, or a machine we did not think of: report this line")
