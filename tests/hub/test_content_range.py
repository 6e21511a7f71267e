"""Claims about partial answers."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.calls.retry import Transient
from ten.errors import DataError
from ten.hub.content_range import SMALL_FILE_BYTES, ContentRange, check_part, content_length, parse_content_range

NUMBERS = st.integers(0, 10**15)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_what_a_host_writes_is_read_back(start: int, length: int, rest: int) -> None:
    stop, total = start + length + 1, start + length + 1 + rest
    assert parse_content_range(f"bytes {start}-{stop - 1}/{total}") == ContentRange(start=start, stop=stop, total=total)
    assert parse_content_range(f"bytes {start}-{stop - 1}/*") == ContentRange(start=start, stop=stop, total=None)
    assert parse_content_range(f"bytes */{total}") == ContentRange(start=0, stop=0, total=total)


@given(st.text(max_size=30) | st.from_regex(r"bytes [0-9]{0,3}-[0-9]{0,3}/([0-9]{0,3}|\*)", fullmatch=True))
def test_a_range_makes_sense_or_is_none(text: str) -> None:
    found = parse_content_range(text)
    if found is not None:
        assert 0 <= found.start <= found.stop
        assert found.total is None or found.stop <= found.total


@pytest.mark.parametrize(
    "text", ["", "bytes 5-4/9", "bytes 0-9/9", "bytes */*", "items 0-1/9", "bytes 0-1", "bytes ٣-٤/٩"]
)
def test_nonsense_is_none(text: str) -> None:
    assert parse_content_range(text) is None


def _part(text: str, length: int | None = None) -> Mapping[str, str]:
    return {"Content-Range": text} | ({} if length is None else {"Content-Length": str(length)})


def test_a_part_may_be_shorter_than_asked_but_not_another() -> None:
    assert check_part("f", 206, _part("bytes 10-19/100", 10), 10, 20, 100) == (0, 10)
    assert check_part("f", 206, _part("bytes 10-14/100"), 10, 20, 100) == (0, 5)
    for text, length in (("bytes 11-19/100", 9), ("bytes 10-20/100", 11), ("bytes 10-19/100", 9), ("", 10)):
        with pytest.raises(Transient):
            check_part("f", 206, _part(text, length), 10, 20, 100)


def test_a_part_of_a_file_of_another_size_is_an_error() -> None:
    with pytest.raises(DataError, match="has 99 bytes and the listing says 100"):
        check_part("f", 206, _part("bytes 10-19/99", 10), 10, 20, 100)
    with pytest.raises(DataError, match="bytes up to 20"):
        check_part("f", 206, _part("bytes 10-18/19", 9), 10, 20, None)


def test_a_whole_file_stands_for_a_part_when_it_is_small_and_whole() -> None:
    assert check_part("f", 200, {"Content-Length": "100"}, 10, 20, 100) == (10, 10)
    assert check_part("f", 200, {"Content-Length": "100"}, 10, 20, None) == (10, 10)
    large = SMALL_FILE_BYTES + 1
    assert check_part("f", 200, {"Content-Length": str(large)}, 0, large, large) == (0, large)
    for headers, size in (({}, 100), ({"Content-Length": "99"}, 100), ({"Content-Length": str(large)}, large)):
        with pytest.raises(Transient, match="range was ignored"):
            check_part("f", 200, headers, 10, 20, size)


def test_a_compressed_part_is_refused() -> None:
    with pytest.raises(Transient, match="compressed"):
        check_part("f", 206, {**_part("bytes 10-19/100", 10), "Content-Encoding": "gzip"}, 10, 20, 100)


@given(st.text(max_size=20))
def test_a_length_is_digits_or_unknown(text: str) -> None:
    found = content_length({"Content-Length": text})
    assert found is None or str(found).zfill(len(text)) == text
