"""Claims about files at the hub as file objects."""

import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ten.errors import DataError, ServiceUnavailable
from ten.hub import remote_file
from ten.hub.remote_file import RemoteFile
from tests.hub.conftest import BYTES, HASTE, Opener, file
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of kilobytes, so that a small file has many."""
    monkeypatch.setattr(remote_file, "_FIRST_BYTES", 3_000)
    monkeypatch.setattr(remote_file, "_BLOCK_BYTES", 20_000)


def _file(opened: Opener, ahead: int = 3) -> RemoteFile:
    return RemoteFile(opened(), file(), len(BYTES), lambda: ahead)


@pytest.mark.parametrize("ahead", [0, 4])
def test_reading_from_front_to_back_gives_the_file(ahead: int, hub: Hub, opened: Opener) -> None:
    with io.BufferedReader(_file(opened, ahead), 7_000) as reader:
        assert reader.read() == BYTES
    assert len(hub.log("cdn")) == 1 + 10


STEPS = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 60_000)),
    st.tuples(st.just("seek"), st.integers(0, len(BYTES) + 10)),
    st.tuples(st.just("skip"), st.integers(-500, 5_000)),
    st.tuples(st.just("tail"), st.integers(-len(BYTES), 0)),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=8), ahead=st.integers(0, 3))
def test_it_behaves_like_the_same_file_on_disk(steps: list[tuple[str, int]], ahead: int, opened: Opener) -> None:
    with io.BytesIO(BYTES) as here, _file(opened, ahead) as there:
        for what, number in steps:
            if what == "read":
                wanted = here.read(number)
                found = b""
                while len(found) < len(wanted):
                    found += there.read(number - len(found))
                assert found == wanted
            elif what == "skip" and here.tell() + number >= 0:
                assert here.seek(number, os.SEEK_CUR) == there.seek(number, os.SEEK_CUR)
            elif what == "tail":
                assert here.seek(number, os.SEEK_END) == there.seek(number, os.SEEK_END)
            elif what == "seek":
                assert here.seek(number) == there.seek(number)
            assert here.tell() == there.tell()


def test_a_footer_costs_only_itself(hub: Hub, opened: Opener) -> None:
    with _file(opened) as there:
        there.seek(-1_000, os.SEEK_END)
        assert there.read(1_000) == BYTES[-1_000:]
        assert there.read(10) == b""
    assert [entry.range for entry in hub.log("cdn")] == ["bytes=199000-199999"]


def test_a_step_forward_costs_no_new_beginning(hub: Hub, opened: Opener) -> None:
    with _file(opened, 0) as there:
        there.read(10)
        there.seek(4_000)
        assert there.read(10) == BYTES[4_000:4_010]
    assert [entry.range for entry in hub.log("cdn")] == ["bytes=0-2999", "bytes=3000-22999"]


def test_an_error_leaves_the_file_where_it_was(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("reset", port="cdn", count=-1))
    with RemoteFile(opened(HASTE), file(), len(BYTES), lambda: 2) as there:
        there.seek(500)
        with pytest.raises(ServiceUnavailable):
            there.read(10)
        hub.clear()
        assert there.read(10) == BYTES[500:510]


def test_a_file_of_another_size_is_an_error(opened: Opener) -> None:
    with RemoteFile(opened(), file(), len(BYTES) - 1, lambda: 2) as there, pytest.raises(DataError, match="listing"):
        there.read(10)


def test_a_closed_file_reads_no_more(opened: Opener) -> None:
    there = _file(opened)
    there.read(1)
    there.close()
    with pytest.raises(ValueError, match="closed"):
        there.read(1)
