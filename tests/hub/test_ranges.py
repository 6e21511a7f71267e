"""Claims about reading ahead."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ten.calls.patience import Patience
from ten.errors import MissingInput, ServiceUnavailable
from ten.hub.ranges import Range, dismiss_all, fetch_ahead
from tests.hub.conftest import BYTES, HASTE, Opener, file
from tests.standins.hub import ROOT, Hub
from tests.standins.hub_faults import Fault

STEP = 10_000
STREAM = """
import sys
from ten.hub.address import parse_address
from ten.hub.ranges import fetch_ahead
from ten.hub.transport import shared_transport
address = parse_address("hf://datasets/tales/grimm@main/data/part.parquet")
stream = fetch_ahead(shared_transport(), ((address, n * 10_000, n * 10_000 + 10_000) for n in range(20)), lambda: 6)
for _ in range(2):
    next(stream)
print("read", flush=True)
"""


def _ranges(count: int = 20) -> list[Range]:
    return [(file(), start, start + STEP) for start in range(0, count * STEP, STEP)]


def _readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "range"]


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Whatever a test does, its readers end."""
    yield
    assert not _readers()


@pytest.mark.parametrize("ahead", [0, 1, 5, 50])
def test_ranges_come_in_order_whatever_goes_wrong(ahead: int, hub: Hub, opened: Opener) -> None:
    hub.add(
        Fault("drop", port="cdn", min_start=30_000, bytes=3_000),
        Fault("trickle", port="cdn", min_start=50_000, rate=500),
        Fault("status", port="cdn", min_start=90_000, count=3),
        Fault("expired", port="cdn", after=8),
    )
    assert b"".join(fetch_ahead(opened(), _ranges(), lambda: ahead)) == BYTES


def test_no_more_are_in_flight_than_asked_for(hub: Hub, opened: Opener) -> None:
    hub.set(latency_ms=20)
    for ahead in (0, 1, 4):
        transport = opened()
        transport.read(file(), 0, 1)
        hub.forget()
        for _ in fetch_ahead(transport, _ranges(), lambda ahead=ahead: ahead):  # type: ignore[misc]
            pass
        edges = [(entry.started, 1) for entry in hub.log("cdn")] + [(entry.ended or 0, -1) for entry in hub.log("cdn")]
        assert max(itertools.accumulate(step for _, step in sorted(edges))) <= ahead + 1


def test_ahead_is_asked_before_each_is_sent_off(hub: Hub, opened: Opener) -> None:
    transport, room = opened(), [0]
    stream = fetch_ahead(transport, _ranges(), lambda: room[0])
    next(stream)
    assert len(hub.log("cdn")) == 1
    room[0] = 3
    next(stream)
    time.sleep(0.3)
    assert len(hub.log("cdn")) == 5
    room[0] = 0
    for _ in range(3):
        next(stream)
    assert len(hub.log("cdn")) == 5
    stream.close()


def test_a_range_is_not_looked_at_before_it_is_due(opened: Opener) -> None:
    taken: list[int] = []

    def ranges() -> Iterator[Range]:
        for part in _ranges():
            taken.append(part[1])
            yield part

    stream = fetch_ahead(opened(), ranges(), lambda: 0)
    next(stream)
    next(stream)
    assert taken == [0, STEP]
    stream.close()


def test_later_ranges_travel_while_the_first_is_awaited(hub: Hub, opened: Opener) -> None:
    transport = opened()
    transport.read(file(), 0, 1)
    hub.set(latency_ms=400)
    began = time.monotonic()
    assert b"".join(fetch_ahead(transport, _ranges(8), lambda: 7)) == BYTES[:80_000]
    assert time.monotonic() - began < 8 * 0.4


def test_an_error_comes_when_its_range_is_due(hub: Hub, opened: Opener) -> None:
    ranges = [*_ranges(3), (file("gone.parquet"), 0, 5), *_ranges(1)]
    stream = fetch_ahead(opened(), ranges, lambda: 9)
    assert b"".join(next(stream) for _ in range(3)) == BYTES[:30_000]
    with pytest.raises(MissingInput, match=r"gone\.parquet"):
        next(stream)
    assert not _readers()


def test_an_error_of_the_ranges_themselves_keeps_its_place(opened: Opener) -> None:
    def ranges() -> Iterator[Range]:
        yield from _ranges(2)
        raise MissingInput("no footer")

    stream = fetch_ahead(opened(), ranges(), lambda: 9)
    assert next(stream) + next(stream) == BYTES[:20_000]
    with pytest.raises(MissingInput, match="no footer"):
        next(stream)


@pytest.mark.parametrize("action", ["hang", "stall", "status", "trickle"])
def test_closing_ends_whatever_is_awaited(action: Any, hub: Hub, opened: Opener) -> None:
    hub.add(Fault(action, port="cdn", min_start=1, headers={"Retry-After": "60"}, bytes=10, count=-1))
    stream = fetch_ahead(opened(Patience()), _ranges(), lambda: 5)
    assert next(stream) == BYTES[:STEP]
    time.sleep(0.3)
    assert len(_readers()) >= 5
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 2
    assert not _readers()


def test_the_end_of_the_interpreter_ends_a_thread_that_waits(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("hang", port="cdn", count=-1))
    stream = fetch_ahead(opened(Patience()), _ranges(), lambda: 5)

    def wait() -> None:
        with pytest.raises(SystemExit):  # which threads end with in silence
            next(stream)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    dismiss_all()
    waiting.join(2)
    assert not waiting.is_alive()


def test_a_stream_that_is_dropped_ends_its_readers(opened: Opener) -> None:
    stream = fetch_ahead(opened(), _ranges(), lambda: 5)
    next(stream)
    assert _readers()
    del stream
    assert not _readers()


def test_a_permanent_fault_ends_the_stream_within_the_deadline(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("reset", port="cdn", min_start=50_000, count=-1))
    stream, found = fetch_ahead(opened(HASTE), _ranges(), lambda: 4), b""
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable):
        for data in stream:
            found += data
    assert found == BYTES[:50_000]
    assert time.monotonic() - began < HASTE.total_s + 4


@pytest.mark.parametrize("fault", ["none", "stall", "hang", "status", "trickle"])
def test_a_process_ends_in_the_middle_of_a_stream(fault: str, hub: Hub, tmp_path: Path) -> None:
    hub.set(throttle=20_000)
    if fault != "none":
        hub.add(Fault(fault, port="cdn", min_start=30_000, count=-1))  # type: ignore[arg-type]
    environment = hub.environment(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", STREAM], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"read\n"
        began = time.monotonic()
        _, errors = process.communicate(timeout=20)
        assert time.monotonic() - began < 5
        assert (process.returncode, errors) == (0, b"")
