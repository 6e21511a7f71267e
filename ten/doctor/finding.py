"""Finding: what one check found, in one line, with what to do about it; never a secret's value."""

import os
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

Status = Literal["ok", "warn", "fail", "skipped"]
_SECRET = re.compile(r"KEY|SECRET|TOKEN(?!IZER)|PASSWORD|CREDENTIAL")
_LONG_ENOUGH = 6
"""Shorter values are words that occur in any text."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's."""

    check: str
    status: Status
    value: str
    """What is the case; of a check that was skipped, why."""
    cure: str | None = None
    """What to do where it is not as it should be."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a check says, before it has the check's name."""

    status: Status
    value: str
    cure: str | None = None


def ok(value: str) -> Verdict:
    """All is well."""
    return Verdict(status="ok", value=value)


def warn(value: str, cure: str) -> Verdict:
    """It works, and somebody should know."""
    return Verdict(status="warn", value=value, cure=cure)


def fail(value: str, cure: str) -> Verdict:
    """The job would not do what it should."""
    return Verdict(status="fail", value=value, cure=cure)


def skipped(reason: str) -> Verdict:
    """Nothing was looked at."""
    return Verdict(status="skipped", value=reason)


def refused(message: str) -> Verdict:
    """A failure in an error's own words, which end with the way out."""
    value, _, cure = message.partition("; ")
    return fail(value, cure or "see to what the message names, then run `ten doctor` again")


def hide_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text on one line, without the values of variables that are named as secrets are."""
    for name, value in environment.items():
        if _SECRET.search(name) and len(value) >= _LONG_ENOUGH:
            text = text.replace(value, f"${name}")
    return " ".join(text.split())
