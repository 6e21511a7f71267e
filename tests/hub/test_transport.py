"""Claims about the transport: the fault matrix, on bytes and on lists."""

import re
import time
from typing import Any

import pytest

from ten.errors import ServiceUnavailable
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from tests.hub.conftest import BYTES, HASTE, PATIENCE, Opener, file
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault

START, STOP = 1_000, 181_000
TREE = "/api/datasets/tales/grimm/tree/main?recursive=true"

BODY_FAULTS = {
    "drop": Fault("drop", port="cdn"),
    "drop_twice": Fault("drop", port="cdn", count=2),
    "drop_at_once": Fault("drop", port="cdn", bytes=0),
    "truncated": Fault("fin", port="cdn"),
    "reset": Fault("reset", port="cdn"),
    "reset_twice": Fault("reset", port="cdn", count=2),
    "stall": Fault("stall", port="cdn", bytes=7_001),
    "hang": Fault("hang", port="cdn"),
    "trickle": Fault("trickle", port="cdn", rate=200),
    "short_part": Fault("short", port="cdn"),
    "ignored_range": Fault("ignore_range", port="cdn"),
    "page": Fault("html", port="cdn"),
    "expired": Fault("expired", port="cdn", count=2),
    "file_host_500": Fault("status", port="cdn", status=500),
    "file_host_503": Fault("status", port="cdn", status=503, headers={"Retry-After": "1"}),
    "file_host_429": Fault("status", port="cdn", status=429),
    "file_host_404": Fault("status", port="cdn", status=404),
    "hub_500": Fault("status", port="hub", status=500),
    "hub_503": Fault("status", port="hub", status=503, count=2),
    "hub_429": Fault("status", port="hub", status=429, headers={"Retry-After": "1"}),
    "hub_429_ratelimit": Fault("status", port="hub", status=429, headers={"RateLimit": '"resolvers";r=0;t=1'}),
    "hub_reset": Fault("reset", port="hub"),
    "hub_hang": Fault("hang", port="hub"),
    "hub_page": Fault("html", port="hub"),
}


@pytest.mark.parametrize("name", BODY_FAULTS)
def test_what_passes_costs_no_byte(name: str, hub: Hub, opened: Opener) -> None:
    hub.add(BODY_FAULTS[name])
    assert opened().read(file(), START, STOP, len(BYTES)) == BYTES[START:STOP]
    assert [entry for entry in hub.log() if entry.fault]


PERMANENT = {
    "drop_at_once": Fault("drop", port="cdn", bytes=0, count=-1),
    "reset": Fault("reset", count=-1),
    "hang": Fault("hang", count=-1),
    "stall": Fault("stall", port="cdn", bytes=0, count=-1),
    "trickle": Fault("trickle", port="cdn", rate=100, count=-1),
    "page": Fault("html", count=-1),
    "503": Fault("status", status=503, count=-1),
    "429": Fault("status", status=429, count=-1),
    "refused": Fault("status", port="cdn", status=403, count=-1),
}


@pytest.mark.parametrize("name", PERMANENT)
def test_what_stays_is_an_error_within_the_deadline(name: str, hub: Hub, opened: Opener) -> None:
    hub.add(PERMANENT[name])
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable) as caught:
        opened(HASTE, token="hf_secret").read(file(), START, STOP)
    assert time.monotonic() - began < HASTE.total_s + 3
    message = str(caught.value)
    for part in (str(file()), "tries", "TEN_PATIENCE", "HF_ENDPOINT", "network"):
        assert part in message
    assert "hf_secret" not in message
    assert "X-Signed" not in message


@pytest.mark.parametrize("action", ["drop", "fin", "stall"])
def test_a_break_in_the_body_goes_on_at_the_byte(action: Any, hub: Hub, opened: Opener) -> None:
    hub.add(Fault(action, port="cdn", bytes=12_345))
    assert opened().read(file(), START, STOP) == BYTES[START:STOP]
    assert [entry.range for entry in hub.log("cdn")] == [
        f"bytes={START}-{STOP - 1}",
        f"bytes={START + 12_345}-{STOP - 1}",
    ]


def test_a_host_that_asks_for_more_time_than_there_is_ends_the_wait_at_once(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("status", status=429, headers={"Retry-After": "3600"}, count=-1))
    with pytest.raises(ServiceUnavailable, match="asks to wait 1h 00m"):
        opened().read(file(), START, STOP)
    assert len(hub.log()) == 1


def test_retry_after_is_obeyed(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("status", port="cdn", status=503, headers={"Retry-After": "2"}))
    opened().read(file(), START, STOP)
    first, second = hub.log("cdn")
    assert second.started - first.started >= 2


def test_steady_progress_outlasts_any_deadline(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("drop", port="cdn", bytes=20_000, count=6))
    assert opened(HASTE).read(file(), START, STOP) == BYTES[START:STOP]


def test_no_bytes_need_no_request(hub: Hub, opened: Opener) -> None:
    assert opened().read(file(), 5, 5) == b""
    assert not hub.log()


def test_what_was_just_read_is_not_fetched_again(hub: Hub, opened: Opener) -> None:
    transport = opened()
    assert transport.read(file(), 10, 20) == transport.read(file(), 10, 20)
    assert len(hub.log("cdn")) == 1


def test_a_list_comes_whole_from_its_pages(hub: Hub, opened: Opener) -> None:
    hub.set(page=2)
    names = [entry["path"] for entry in opened().get_pages(TREE, "the list")]
    assert names == ["README.md", "data", "data/part.parquet", "notes.txt"]
    assert len(hub.log()) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop"), Fault("fin"), Fault("reset"), Fault("stall"), Fault("hang"), Fault("html"), Fault("trickle"),
        Fault("status", status=500), Fault("status", status=503, count=2), Fault("wrong_bytes"),
        Fault("status", status=429, headers={"Retry-After": "1"}),
    ],
    ids=lambda fault: f"{fault.action}-{fault.status}",
)  # fmt: skip
def test_a_list_survives_what_passes(fault: Fault, hub: Hub, opened: Opener) -> None:
    hub.add(fault)
    found, headers = opened().get_json(TREE, "the list")
    assert [entry["path"] for entry in found] == ["README.md", "data", "data/part.parquet", "notes.txt"]
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("action", ["wrong_bytes", "html", "reset", "hang"])
def test_a_list_that_never_comes_is_an_error_within_the_deadline(action: Any, hub: Hub, opened: Opener) -> None:
    hub.add(Fault(action, count=-1))
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"the list of tales: .* gave up after \d+ tr"):
        opened(HASTE).get_json(TREE, "the list of tales")
    assert time.monotonic() - began < HASTE.total_s + 3


@pytest.mark.parametrize("path", ["data/part.parquet", "README.md"])
def test_content_comes_with_the_hubs_own_headers(path: str, hub: Hub, opened: Opener) -> None:
    hub.add(Fault("drop", port="cdn"), Fault("fin", port="hub", match="README"))
    data, headers = opened().content(file(path))
    assert data == (BYTES if path.endswith("parquet") else b"# Tales\n")
    assert re.fullmatch("[0-9a-f]{40}", headers["x-repo-commit"])


def test_nobody_listens(opened: Opener) -> None:
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="connection refused"):
        opened(HASTE, url="http://127.0.0.1:9").read(file(), 0, 5)
    with pytest.raises(ServiceUnavailable, match="cannot be looked up"):
        opened(HASTE, url="http://hub.invalid").get_json(TREE, "the list")
    assert time.monotonic() - began < 2 * HASTE.total_s + 20


def test_offline_asks_nobody(hub: Hub) -> None:
    transport = Transport(Endpoint(url=hub.endpoint, offline=True), PATIENCE)
    for call in (
        lambda: transport.read(file(), 0, 5),
        lambda: transport.content(file()),
        lambda: transport.get_json(TREE, str(file())),
    ):
        with pytest.raises(ServiceUnavailable, match=r"hf://datasets/tales/grimm.*not in the cache.*HF_HUB_OFFLINE"):
            call()
    assert not hub.log()


def test_long_waits_are_announced(hub: Hub, opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    hub.add(Fault("status", port="cdn", status=503, headers={"Retry-After": "4"}))
    with caplog.at_level("DEBUG"):
        opened(token="hf_good").read(file(), START, STOP)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert re.search(r"waiting for bytes 1000-180999 of hf://.*answered 503; next try in 4.*giving up in", warnings[0])
    assert "X-Signed" not in caplog.text
    assert "hf_good" not in caplog.text
