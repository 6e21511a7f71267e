"""Claims about parts of files: each file's place is asked for once, and each part is the one meant."""

import threading

import pytest

from ten.errors import DataError
from tests.hub.conftest import BYTES, HASTE, Opener, file
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault

START, STOP = 1_000, 181_000


def test_the_whole_file_may_come_as_the_answer_to_a_range(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("ignore_range", port="cdn", count=-1))
    transport = opened(HASTE)
    assert transport.read(file(), 0, len(BYTES), len(BYTES)) == BYTES
    assert transport.read(file(), 777, 888) == BYTES[777:888]


def test_a_file_of_another_size_is_no_file_of_the_listing(hub: Hub, opened: Opener) -> None:
    with pytest.raises(DataError, match=r"has 200000 bytes and the listing says 200001; it is half written"):
        opened().read(file(), START, STOP, len(BYTES) + 1)
    hub.add(Fault("resize", port="cdn", size=190_000))
    with pytest.raises(DataError, match=r"has 190000 bytes and the listing says 200000"):
        opened().read(file(), START, STOP, len(BYTES))
    assert len(hub.log("cdn")) == 1


def test_bytes_behind_the_end_are_an_error(opened: Opener) -> None:
    with pytest.raises(DataError, match="200000 bytes; bytes up to 200001"):
        opened().read(file(), START, len(BYTES) + 1)
    with pytest.raises(DataError, match="200000 bytes; bytes up to 200009"):
        opened().read(file(), len(BYTES) + 5, len(BYTES) + 9)
    with pytest.raises(DataError, match="200000 bytes; bytes up to 200001"):
        opened().read(file(), START, len(BYTES) + 1, len(BYTES))


def test_a_file_the_hub_serves_itself_takes_one_request(hub: Hub, opened: Opener) -> None:
    transport = opened()
    assert transport.read(file("notes.txt"), 10, 20) == BYTES[10:20]
    assert transport.read(file("notes.txt"), 30, 40) == BYTES[30:40]
    assert [(entry.port, entry.status) for entry in hub.log()] == [("hub", 206), ("hub", 206)]


def test_many_threads_ask_once_where_a_file_is(hub: Hub, opened: Opener) -> None:
    hub.set(latency_ms=30)
    hub.add(Fault("status", port="hub", status=503))
    transport, found = opened(), {}

    def read(index: int) -> None:
        found[index] = transport.read(file(), index * 1000, index * 1000 + 1000)

    threads = [threading.Thread(target=read, args=(index,)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(found[index] for index in range(12)) == BYTES[:12_000]
    assert [entry.status for entry in hub.log("hub")] == [503, 302]


def test_an_expired_address_is_asked_for_once_more(hub: Hub, opened: Opener) -> None:
    transport = opened()
    transport.read(file(), 0, 10)
    hub.expire_urls()
    assert transport.read(file(), 20, 30) == BYTES[20:30]
    assert [entry.status for entry in hub.log("cdn")] == [206, 403, 206]
    assert len(hub.log("hub")) == 2


def test_an_address_that_expires_in_the_middle_costs_no_byte(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("drop", port="cdn", bytes=5_000), Fault("expired", port="cdn"))
    assert opened().read(file(), START, STOP) == BYTES[START:STOP]
    assert hub.log("cdn")[-1].range == f"bytes={START + 5_000}-{STOP - 1}"
