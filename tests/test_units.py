"""Quantities as people write them."""

import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ten.errors import SpecError
from ten.units import counted, format_bytes, format_count, format_seconds, parse_bytes, parse_count, parse_seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("64MiB", 2**26), ("16GB", 16 * 10**9), ("1.5 KiB", 1536), ("0", 0), ("7b", 7), ("2TiB", 2**41),
        ("1e3kb", 10**6), (12, 12), (" 3 tb ", 3 * 10**12), ("1_000", 1000),
    ],
)  # fmt: skip
def test_sizes_are_binary_or_decimal_as_written(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("6h", 21600), ("2d", 172800), ("0.5 H", 1800)]
)
def test_durations_have_a_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("10B", 10**10), ("1.5M", 1_500_000), ("300000", 300_000), ("2k", 2000), ("1T", 10**12), (5, 5), (1e4, 10_000)],
)
def test_counts_may_be_abbreviated(text: str | float, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1 2", "64 MiBs", "1,5", "0x10", "nan", "inf", "١٢٣x"])
def test_what_is_no_quantity_is_refused_by_name(text: str) -> None:
    for parse in (parse_bytes, parse_seconds, parse_count):
        with pytest.raises(SpecError, match=re.escape(repr(text))):
            parse(text)


@pytest.mark.parametrize(
    ("parse", "text"), [(parse_bytes, "5X"), (parse_seconds, "5"), (parse_seconds, "5w"), (parse_count, "5KiB")]
)
def test_a_unit_of_another_kind_is_refused_with_those_that_fit(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(SpecError, match=rf"{text}.*(use|write) "):
        parse(text)


@settings(deadline=None)
@given(st.integers(0, 2**53))
def test_a_bare_number_is_itself(count: int) -> None:
    assert parse_bytes(count) == parse_bytes(str(count)) == parse_count(count) == count


@settings(deadline=None)
@given(st.integers(0, 2**50))
def test_a_size_for_people_reads_back_as_nearly_that(count: int) -> None:
    assert math.isclose(parse_bytes(format_bytes(count)), count, rel_tol=0.06, abs_tol=0.5)


@settings(deadline=None)
@given(st.integers(0, 10**15))
def test_a_count_for_people_reads_back_as_nearly_that(count: int) -> None:
    assert math.isclose(parse_count(format_count(count)), count, rel_tol=0.006, abs_tol=0.5)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2**25, "32.0 MiB"), (2**33, "8.0 GiB"), (2**42, "4.0 TiB")],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00K"), (45_600, "45.60K"), (456_000, "456K"), (1.8e9, "1.80B"), (3e12, "3.00T")],
)
def test_counts_for_people(count: float, text: str) -> None:
    assert format_count(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (4.2, "4.2s"), (75, "1m 15s"), (3599.4, "59m 59s"), (3725, "1h 02m"), (90_000, "25h 00m")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_one_thing_is_singular() -> None:
    assert [counted(count, "file") for count in (0, 1, 1200)] == ["0 files", "1 file", "1,200 files"]
