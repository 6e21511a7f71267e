"""Each fault in front of the object store does what it says, to the requests it names and to no other."""

import base64
import hashlib
import time
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.standins.s3 import S3Request, S3Stand
from tests.standins.s3_clients import BUCKET, DATA, read, signed
from tests.standins.s3_faults import Action, Fault
from tests.standins.s3_refusals import REFUSALS


def ended(shelf: S3Stand) -> S3Request:
    """The one request there was, once it has ended."""
    (request,) = shelf.log()
    return request


@pytest.mark.parametrize("code", sorted(set(REFUSALS) - {"BadGateway"}))
def test_a_refusal_is_what_amazons_client_calls_it(shelf: S3Stand, client: Any, code: str) -> None:
    shelf.add(Fault("refuse", code=code, count=-1))  # the client looks for another region by itself
    with pytest.raises(ClientError) as refused:
        read(client)
    error = refused.value.response
    assert error["Error"]["Code"] == code
    assert error["ResponseMetadata"]["HTTPStatusCode"] == REFUSALS[code].status
    shelf.clear()
    assert read(client) == DATA


def test_a_refused_upload_leaves_nothing_and_the_connection_goes_on(shelf: S3Stand, client: Any) -> None:
    shelf.add(Fault("refuse", "PUT"), Fault("refuse", "PUT", code="BadGateway"))
    for status in (503, 502):
        with pytest.raises(ClientError, match=str(status) if status == 502 else "SlowDown"):
            client.put_object(Bucket=BUCKET, Key="x", Body=DATA)
    client.put_object(Bucket=BUCKET, Key="x", Body=DATA)
    assert len({request.connection for request in shelf.log()}) == 1
    assert shelf.get(BUCKET, "x") == DATA


def test_a_skewed_clock_shows_in_the_date(shelf: S3Stand, client: Any) -> None:
    shelf.add(Fault("refuse", code="RequestTimeTooSkewed", seconds=7200))
    with pytest.raises(ClientError) as refused:
        read(client)
    date = refused.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert 7100 < time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S %Z")) - time.mktime(time.gmtime()) < 7300


def test_a_redirect_names_the_right_region(shelf: S3Stand, pool: urllib3.PoolManager) -> None:
    shelf.add(Fault("refuse", code="PermanentRedirect"))
    answer = pool.request("HEAD", f"{shelf.endpoint}/{BUCKET}")
    assert (answer.status, answer.headers["x-amz-bucket-region"], answer.data) == (301, "ams3", b"")


def test_a_completed_upload_may_be_a_failure_that_says_200(shelf: S3Stand, pool: urllib3.PoolManager) -> None:
    shelf.add(Fault("refuse", "POST .*uploadId=", code="InternalError", status=200))
    answer = pool.request("POST", f"{shelf.endpoint}/{BUCKET}/x?uploadId=1", body=b"<x/>")
    assert (answer.status, b"<Code>InternalError</Code>" in answer.data) == (200, True)


@pytest.mark.parametrize(("action", "how"), [("drop", "reset by peer"), ("fin", "7000 bytes read")])
def test_an_answer_breaks_off_at_the_byte(shelf: S3Stand, pool: urllib3.PoolManager, action: Action, how: str) -> None:
    shelf.add(Fault(action, "GET /", bytes=7000))
    answer = pool.request("GET", signed(shelf), preload_content=False)
    assert answer.headers["Content-Length"] == str(len(DATA))
    taken = bytearray()
    with pytest.raises(urllib3.exceptions.ProtocolError, match=how):
        while block := answer.read1(100):
            taken += block
    answer.close()
    assert taken == DATA[:7000]
    assert ended(shelf).sent == 7000


def test_a_short_answer_says_nothing_is_missing(shelf: S3Stand, client: Any) -> None:
    shelf.add(Fault("short", "GET /", bytes=7000))
    assert read(client) == DATA[:7000]
    assert read(client) == DATA


def test_wrong_bytes_are_one_byte(shelf: S3Stand, client: Any) -> None:
    shelf.add(Fault("wrong_bytes", "GET /"))
    damaged = read(client)
    assert [place for place, byte in enumerate(damaged) if byte != DATA[place]] == [len(DATA) // 2]
    assert len(damaged) == len(DATA)


@pytest.mark.parametrize(("checks", "status"), [(True, 400), (False, 200)])
def test_an_upload_damaged_on_its_way_is_found_out_by_its_md5_where_that_is_checked(
    shelf: S3Stand, pool: urllib3.PoolManager, checks: bool, status: int
) -> None:
    shelf.set(checks_md5=checks)
    shelf.add(Fault("wrong_bytes", "PUT", bytes=1))
    said = base64.b64encode(hashlib.md5(b"good").digest()).decode()
    answer = pool.request("PUT", f"{shelf.endpoint}/{BUCKET}/x", body=b"good", headers={"Content-MD5": said})
    assert answer.status == status
    assert ("x" in shelf.keys(BUCKET)) is not checks


@pytest.mark.parametrize("action", ["reset", "drop", "fin", "lost"])
def test_an_upload_that_breaks_off_leaves_nothing_but_a_lost_answer_does(
    shelf: S3Stand, pool: urllib3.PoolManager, action: Action
) -> None:
    shelf.add(Fault(action, "PUT"))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        pool.request("PUT", f"{shelf.endpoint}/{BUCKET}/x", body=DATA)
    assert ended(shelf).status == 0
    assert ("x" in shelf.keys(BUCKET)) is (action == "lost")


def test_reset_and_hang_give_no_answer(shelf: S3Stand, pool: urllib3.PoolManager) -> None:
    shelf.add(Fault("reset"), Fault("hang", seconds=1))
    with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
        pool.request("GET", signed(shelf))
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", signed(shelf), timeout=0.2)


def test_a_stall_falls_silent_and_goes_on(shelf: S3Stand, pool: urllib3.PoolManager) -> None:
    shelf.add(Fault("stall", "GET /", seconds=1, count=2))
    began = time.monotonic()
    assert pool.request("GET", signed(shelf)).data == DATA
    assert time.monotonic() - began >= 1
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", signed(shelf), timeout=0.3)


def test_a_trickle_keeps_talking(shelf: S3Stand, pool: urllib3.PoolManager) -> None:
    shelf.add(Fault("trickle", "GET /", rate=len(DATA)))
    began = time.monotonic()
    assert pool.request("GET", signed(shelf), timeout=0.8).data == DATA
    assert time.monotonic() - began >= 0.9


def test_a_fault_hits_what_it_names_and_nothing_else(shelf: S3Stand, client: Any) -> None:
    shelf.add(Fault("refuse", r"GET /[^/]+/a/b%20c", after=1, count=2, min_start=50))
    assert read(client, Range="bytes=50-59") == DATA[50:60]
    for _ in range(2):
        assert read(client, Range="bytes=49-59") == DATA[49:60]
        with pytest.raises(ClientError, match="SlowDown"):
            read(client, Range="bytes=60-69")
    assert read(client, Range="bytes=50-59") == DATA[50:60]
