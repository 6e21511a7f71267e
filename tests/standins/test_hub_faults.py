"""Each fault does what it says, to the requests it names and to no other."""

import http.client
import json

import pytest

from tests.standins.hub import Hub
from tests.standins.hub_corpora import repository
from tests.standins.hub_faults import Action, Fault
from tests.standins.wire import SHARD, get, listen, signed_path

LENGTH = 20_000


@pytest.fixture
def path(hub: Hub) -> str:
    """A signed shard, of which the tests ask for bytes 100 to 20,100."""
    return signed_path(hub)


@pytest.fixture
def truth(hub: Hub, path: str) -> bytes:
    """Those bytes."""
    return listen(hub, path, start=100, stop=100 + LENGTH).body


@pytest.mark.parametrize(("action", "end"), [("drop", "reset"), ("fin", "closed")])
@pytest.mark.parametrize("after", [0, 1, 7000, LENGTH])
def test_a_connection_ends_after_so_many_bytes(
    hub: Hub, path: str, truth: bytes, action: Action, end: str, after: int
) -> None:
    hub.add(Fault(action, port="cdn", bytes=after))
    heard = listen(hub, path, start=100, stop=100 + LENGTH)
    assert (heard.end, heard.body) == (end, truth[:after])
    assert listen(hub, path, start=100, stop=100 + LENGTH).body == truth


def test_a_fast_body_breaks_at_the_byte_too(hub: Hub) -> None:
    (repository(hub.root, "standin/big") / "big.bin").write_bytes(bytes(range(256)) * 40_000)
    path = signed_path(hub, "/datasets/standin/big/resolve/main/big.bin")
    hub.add(Fault("drop", port="cdn", bytes=9_999_999))
    heard = listen(hub, path)
    assert (heard.end, len(heard.body)) == ("reset", 9_999_999)


def test_reset_and_hang_give_no_answer(hub: Hub, path: str) -> None:
    hub.add(Fault("reset"), Fault("hang", seconds=1))
    heard = listen(hub, path)
    assert (heard.end, heard.head) == ("reset", b"")
    heard = listen(hub, path, patience_s=0.2)
    assert (heard.end, heard.head) == ("silent", b"")


def test_a_stall_falls_silent_and_goes_on(hub: Hub, path: str, truth: bytes) -> None:
    hub.add(Fault("stall", port="cdn", bytes=7000, seconds=1, count=2))
    heard = listen(hub, path, start=100, stop=100 + LENGTH)
    assert (heard.end, heard.body) == ("closed", truth)
    assert heard.seconds >= 1
    heard = listen(hub, path, start=100, stop=100 + LENGTH, patience_s=0.5)
    assert (heard.end, heard.body) == ("silent", truth[:7000])


def test_a_trickle_keeps_talking(hub: Hub, path: str, truth: bytes) -> None:
    hub.add(Fault("trickle", port="cdn", rate=16_000))
    heard = listen(hub, path, start=100, stop=100 + LENGTH, patience_s=1)
    assert heard.body == truth
    assert heard.seconds >= 1.1


def test_a_status_comes_with_its_headers(hub: Hub, path: str) -> None:
    hub.add(Fault("status", status=429, headers={"Retry-After": "3", "X-Error-Code": "Busy"}))
    answer = get(hub.cdn, path)
    assert (answer.status, answer.headers["Retry-After"], answer.headers["X-Error-Code"]) == (429, "3", "Busy")


def test_wrong_bytes_have_the_right_length(hub: Hub, path: str, truth: bytes) -> None:
    hub.add(Fault("wrong_bytes", port="cdn"), Fault("wrong_bytes", port="cdn", bytes=50))
    whole, rest = (listen(hub, path, start=100, stop=100 + LENGTH) for _ in range(2))
    assert whole.body == bytes(value ^ 0xFF for value in truth)
    assert rest.body == truth[:50] + whole.body[50:]


def test_short_is_an_honest_answer_over_less(hub: Hub, path: str, truth: bytes) -> None:
    hub.add(Fault("short", port="cdn", bytes=50))
    answer = get(hub.cdn, path, Range=f"bytes=100-{99 + LENGTH}")
    assert (answer.status, answer.body) == (206, truth[:50])
    assert answer.headers["Content-Range"].startswith("bytes 100-149/")
    assert answer.headers["Content-Length"] == "50"


def test_ignore_range_gives_the_whole_file(hub: Hub, path: str, truth: bytes) -> None:
    hub.add(Fault("ignore_range", port="cdn"))
    answer = get(hub.cdn, path, Range=f"bytes=100-{99 + LENGTH}")
    assert (answer.status, answer.headers.get("Content-Range")) == (200, None)
    assert answer.body[100 : 100 + LENGTH] == truth


def test_html_is_a_page_that_says_200(hub: Hub, path: str) -> None:
    hub.add(Fault("html"))
    answer = get(hub.cdn, path)
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/html")


def test_redirect_leads_to_another_host(hub: Hub) -> None:
    hub.add(Fault("redirect", to="http://localhost:1"))
    answer = get(hub.endpoint, SHARD)
    assert (answer.status, answer.headers["Location"]) == (302, f"http://localhost:1{SHARD}")


def test_an_expired_url_stays_so_and_a_new_one_works(hub: Hub, path: str) -> None:
    other = signed_path(hub)
    hub.add(Fault("expired", port="cdn"))
    assert [get(hub.cdn, asked).status for asked in (path, path, other, signed_path(hub))] == [403, 403, 200, 200]


@pytest.mark.parametrize("size", [50, 10**6])
def test_resize_gives_a_file_of_another_size(hub: Hub, path: str, size: int) -> None:
    hub.add(Fault("resize", port="cdn", size=size, count=3))
    answer = get(hub.cdn, path, Range="bytes=10-")
    assert (answer.headers["Content-Range"], len(answer.body)) == (f"bytes 10-{size - 1}/{size}", size - 10)
    assert len(get(hub.cdn, path).body) == size
    assert get(hub.cdn, path, Range=f"bytes={size}-").status == 416


def test_a_fault_hits_the_requests_it_names(hub: Hub, path: str) -> None:
    hub.add(Fault("status", match=r"GET .*\.parquet", port="cdn", after=1, count=2, min_start=100))
    assert get(hub.endpoint, SHARD).status == 302
    assert get(hub.cdn, path, "HEAD").status == 200
    assert get(hub.cdn, path, Range="bytes=0-9").status == 206
    statuses = [get(hub.cdn, path, Range="bytes=100-199").status for _ in range(4)]
    assert statuses == [206, 503, 503, 206]
    assert [entry.fault for entry in hub.log()].count("status") == 2
    hub.add(Fault("status", count=-1))
    assert {get(hub.cdn, path).status for _ in range(3)} == {503}
    hub.clear()
    assert get(hub.cdn, path).status == 200


def test_the_hubs_own_answers_break_too(hub: Hub) -> None:
    place = "/api/datasets/HuggingFaceFW/fineweb-edu"
    hub.add(Fault("fin", port="hub"), Fault("wrong_bytes", port="hub"))
    with pytest.raises(http.client.IncompleteRead):
        get(hub.endpoint, place)
    with pytest.raises(ValueError, match=r"utf-8|Expecting value"):
        json.loads(get(hub.endpoint, place).body)
