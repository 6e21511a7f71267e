"""Claims about the memory of recent reads."""

from hypothesis import given
from hypothesis import strategies as st

from ten.hub.recent import RecentReads
from tests.hub.conftest import file


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 60)), max_size=40))
def test_room_is_never_exceeded_and_what_is_found_is_what_was_kept(reads: list[tuple[int, int]]) -> None:
    recent, newest = RecentReads(100), {}
    for name, length in reads:
        key = (file(str(name)), 0, length)
        recent.keep(key, bytes([name]) * length)
        newest[key] = bytes([name]) * length
        assert recent.find(key) == newest[key]
    held = [data for key in newest if (data := recent.find(key)) is not None]
    assert sum(map(len, held)) <= 100
    assert all(recent.find(key) in (data, None) for key, data in newest.items())


def test_the_one_unused_for_longest_goes_first() -> None:
    recent = RecentReads(100)
    one, two, three = ((file(name), 0, 40) for name in "abc")
    recent.keep(one, bytes(40))
    recent.keep(two, bytes(40))
    recent.find(one)
    recent.keep(three, bytes(40))
    assert recent.find(two) is None
    assert recent.find(one) is not None


def test_what_is_larger_than_all_room_pushes_nothing_out() -> None:
    recent = RecentReads(100)
    recent.keep((file("a"), 0, 1), b"a")
    recent.keep((file("b"), 0, 101), bytes(101))
    assert recent.find((file("a"), 0, 1)) == b"a"
    assert recent.find((file("b"), 0, 101)) is None
