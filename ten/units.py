"""Quantities as people write them ("64MiB", "10m", "10B") and as programs need them (int, float seconds)."""

import math
import re
from collections.abc import Callable
from typing import TypeVar

from ten.errors import SpecError

_T = TypeVar("_T")
_NUMBER = re.compile(r"\s*(\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*")
_BYTES = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COUNTS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def named(field: str, read: Callable[[], _T]) -> _T:
    """What `read` gives; what it refuses, it refuses with the name of the field."""
    try:
        return read()
    except SpecError as error:
        raise SpecError(f"{field}: {error}") from None


def parse_bytes(text: str | int) -> int:
    """Bytes in "64MiB" (binary), "16GB" (decimal) or a bare number."""
    number, unit = _split(text, "a size such as 64MiB or 16GB")
    if unit.lower() not in _BYTES:
        raise SpecError(f"{text!r}: unknown size unit {unit!r}; use B, KB, MB, GB, TB, KiB, MiB, GiB or TiB")
    return round(number * _BYTES[unit.lower()])


def parse_seconds(text: str) -> float:
    """Seconds in "90s", "10m", "6h" or "2d"; the unit is required."""
    number, unit = _split(text, "a duration such as 90s, 10m or 6h")
    if unit.lower() not in _SECONDS:
        raise SpecError(f"{text!r} is no duration; write 90s, 10m, 6h or 2d")
    return number * _SECONDS[unit.lower()]


def parse_count(text: str | int | float) -> int:
    """A count such as "10B" (10**10), "1.5M" or 300000."""
    number, unit = _split(text, "a count such as 300000, 1.5M or 10B")
    if unit.upper() not in _COUNTS:
        raise SpecError(f"{text!r}: unknown count unit {unit!r}; use K, M, B or T")
    return round(number * _COUNTS[unit.upper()])


def format_bytes(count: int) -> str:
    """Bytes for people, in binary units: 33554432 → "32.0 MiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1023.95:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def counted(count: int, noun: str) -> str:
    """A number of things: 1 → "1 file", 1200 → "1,200 files"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def format_count(count: float) -> str:
    """A count for people: 1800000000 → "1.80B"."""
    for power, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(count) >= power * 0.9995:
            return f"{count / power:.{0 if abs(count) >= 99.95 * power else 2}f}{unit}"
    return f"{count:.0f}"


def format_seconds(seconds: float) -> str:
    """A duration for people: 3725 → "1h 02m", 75 → "1m 15s", 4.2 → "4.2s"."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _split(text: str | int | float, wanted: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(str(text))
    if not match:
        raise SpecError(f"{text!r} is not {wanted}")
    number = float(match[1].replace("_", ""))
    if not math.isfinite(number):
        raise SpecError(f"{text!r} is beyond all bounds; write {wanted}")
    return number, match[2]
