"""The stand-in of an object store is a store to a client of Amazon's, and each fault does what it says."""

import base64
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.standins.s3 import CANARIES, KEY_ID, ROOT, SECRET, S3Request, S3Stand
from tests.standins.s3_faults import Action, Fault
from tests.standins.s3_refusals import REFUSALS

BUCKET = "ten-stand"
DATA = bytes(range(256)) * 4000
HALF = len(DATA) // 2


@pytest.fixture
def stand(stand: S3Stand) -> S3Stand:
    """With one object in an otherwise empty bucket."""
    assert stand.bucket(BUCKET) == f"s3://{BUCKET}"
    stand.put(BUCKET, "a/b c", DATA, {"note": "kept"})
    return stand


@pytest.fixture
def client(stand: S3Stand) -> Iterator[Any]:
    """Amazon's."""
    with closing(client_of(stand)) as made:
        yield made


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    """A client that follows nothing and repeats nothing."""
    with urllib3.PoolManager(retries=False, timeout=10) as made:
        yield made


def client_of(stand: S3Stand) -> Any:
    """Amazon's client, which tries nothing twice."""
    config = Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        response_checksum_validation="when_required",
        request_checksum_calculation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=stand.endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=config,
    )


def signed(stand: S3Stand) -> str:
    """The object's address with a signature in it, for clients that sign nothing."""
    with closing(client_of(stand)) as client:
        url: str = client.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "a/b c"})
    return url


def read(client: Any, **asked: Any) -> bytes:
    """The object's bytes."""
    with closing(client.get_object(Bucket=BUCKET, Key="a/b c", **asked)["Body"]) as body:
        data: bytes = body.read()
    return data


def ended(stand: S3Stand) -> S3Request:
    """The one request there was, once it has ended."""
    (request,) = stand.log()
    return request


def test_a_client_writes_reads_lists_and_deletes(stand: S3Stand, client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="x", Body=b"123", Metadata={"sha256": "0a"})
    assert client.head_object(Bucket=BUCKET, Key="x")["Metadata"] == {"sha256": "0a"}
    assert [found["Key"] for found in client.list_objects(Bucket=BUCKET)["Contents"]] == ["a/b c", "x"]
    assert read(client) == DATA
    assert read(client, Range="bytes=5-9") == DATA[5:10]
    client.delete_object(Bucket=BUCKET, Key="x")
    assert stand.keys(BUCKET) == ["a/b c"]
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=BUCKET, Key="x")


def test_a_multipart_upload_is_one_object(stand: S3Stand, client: Any) -> None:
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="big")["UploadId"]
    assert [found["Key"] for found in stand.uploads(BUCKET)] == ["big"]
    parts = [os.urandom(5 * 2**20), b"the rest"]
    tags = [
        client.upload_part(Bucket=BUCKET, Key="big", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    named = [{"ETag": tag, "PartNumber": number} for number, tag in enumerate(tags, 1)]
    client.complete_multipart_upload(Bucket=BUCKET, Key="big", UploadId=upload, MultipartUpload={"Parts": named})
    assert stand.get(BUCKET, "big") == b"".join(parts)
    assert stand.uploads(BUCKET) == []


def test_a_bucket_asked_for_again_is_empty(stand: S3Stand, client: Any) -> None:
    client.create_multipart_upload(Bucket=BUCKET, Key="never ended")
    stand.bucket(BUCKET)
    assert stand.keys(BUCKET) == []
    assert stand.uploads(BUCKET) == []


def test_an_object_damaged_from_behind_keeps_its_metadata(stand: S3Stand) -> None:
    stand.put(BUCKET, "a/b c", b"damaged")
    assert stand.get(BUCKET, "a/b c") == b"damaged"
    assert stand.head(BUCKET, "a/b c")["Metadata"] == {"note": "kept"}


def test_the_log_has_each_request_with_its_bytes_and_connection(stand: S3Stand, client: Any) -> None:
    assert read(client, Range="bytes=100-299") == DATA[100:300]
    client.put_object(Bucket=BUCKET, Key="x", Body=b"12345")
    got, put = stand.log()
    assert (got.method, got.key, got.span, got.status, got.sent) == ("GET", "a/b c", (100, 300), 206, 200)
    assert (put.method, put.key, put.range, put.status, put.received) == ("PUT", "x", "", 200, 5)
    assert got.connection == put.connection
    assert stand.log("PUT") == [put]
    stand.forget()
    assert stand.log() == []


@pytest.mark.parametrize("code", sorted(set(REFUSALS) - {"BadGateway"}))
def test_a_refusal_is_what_amazons_client_calls_it(stand: S3Stand, client: Any, code: str) -> None:
    stand.add(Fault("refuse", code=code, count=-1))  # the client looks for another region by itself
    with pytest.raises(ClientError) as refused:
        read(client)
    error = refused.value.response
    assert error["Error"]["Code"] == code
    assert error["ResponseMetadata"]["HTTPStatusCode"] == REFUSALS[code].status
    stand.clear()
    assert read(client) == DATA


def test_a_refused_upload_leaves_nothing_and_the_connection_goes_on(stand: S3Stand, client: Any) -> None:
    stand.add(Fault("refuse", "PUT"), Fault("refuse", "PUT", code="BadGateway"))
    for status in (503, 502):
        with pytest.raises(ClientError, match=str(status) if status == 502 else "SlowDown"):
            client.put_object(Bucket=BUCKET, Key="x", Body=DATA)
    client.put_object(Bucket=BUCKET, Key="x", Body=DATA)
    assert len({request.connection for request in stand.log()}) == 1
    assert stand.get(BUCKET, "x") == DATA


def test_a_skewed_clock_shows_in_the_date(stand: S3Stand, client: Any) -> None:
    stand.add(Fault("refuse", code="RequestTimeTooSkewed", seconds=7200))
    with pytest.raises(ClientError) as refused:
        read(client)
    date = refused.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert 7100 < time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S %Z")) - time.mktime(time.gmtime()) < 7300


def test_a_redirect_names_the_right_region(stand: S3Stand, pool: urllib3.PoolManager) -> None:
    stand.add(Fault("refuse", code="PermanentRedirect"))
    answer = pool.request("HEAD", f"{stand.endpoint}/{BUCKET}")
    assert (answer.status, answer.headers["x-amz-bucket-region"], answer.data) == (301, "ams3", b"")


def test_a_completed_upload_may_be_a_failure_that_says_200(stand: S3Stand, pool: urllib3.PoolManager) -> None:
    stand.add(Fault("refuse", "POST .*uploadId=", code="InternalError", status=200))
    answer = pool.request("POST", f"{stand.endpoint}/{BUCKET}/x?uploadId=1", body=b"<x/>")
    assert (answer.status, b"<Code>InternalError</Code>" in answer.data) == (200, True)


@pytest.mark.parametrize(
    ("action", "error"),
    [("drop", urllib3.exceptions.ProtocolError), ("fin", urllib3.exceptions.IncompleteRead)],
)
def test_an_answer_breaks_off_at_the_byte(
    stand: S3Stand, pool: urllib3.PoolManager, action: Action, error: type[Exception]
) -> None:
    stand.add(Fault(action, "GET /", bytes=7000))
    answer = pool.request("GET", signed(stand), preload_content=False)
    assert answer.headers["Content-Length"] == str(len(DATA))
    taken = bytearray()
    with pytest.raises(error):
        while block := answer.read1(100):
            taken += block
    answer.close()
    assert taken == DATA[:7000]
    assert ended(stand).sent == 7000


def test_a_short_answer_says_nothing_is_missing(stand: S3Stand, client: Any) -> None:
    stand.add(Fault("short", "GET /", bytes=7000))
    assert read(client) == DATA[:7000]
    assert read(client) == DATA


def test_wrong_bytes_are_one_byte(stand: S3Stand, client: Any) -> None:
    stand.add(Fault("wrong_bytes", "GET /"))
    damaged = read(client)
    assert [place for place, byte in enumerate(damaged) if byte != DATA[place]] == [HALF]
    assert len(damaged) == len(DATA)


@pytest.mark.parametrize(("checks", "status"), [(True, 400), (False, 200)])
def test_an_upload_damaged_on_its_way_is_found_out_by_its_md5_where_that_is_checked(
    stand: S3Stand, pool: urllib3.PoolManager, checks: bool, status: int
) -> None:
    stand.set(checks_md5=checks)
    stand.add(Fault("wrong_bytes", "PUT", bytes=1))
    said = base64.b64encode(hashlib.md5(b"good").digest()).decode()
    answer = pool.request("PUT", f"{stand.endpoint}/{BUCKET}/x", body=b"good", headers={"Content-MD5": said})
    assert answer.status == status
    assert ("x" in stand.keys(BUCKET)) is not checks


@pytest.mark.parametrize("action", ["reset", "drop", "fin", "lost"])
def test_an_upload_that_breaks_off_leaves_nothing_but_a_lost_answer_does(
    stand: S3Stand, pool: urllib3.PoolManager, action: Action
) -> None:
    stand.add(Fault(action, "PUT"))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        pool.request("PUT", f"{stand.endpoint}/{BUCKET}/x", body=DATA)
    assert ended(stand).status == 0
    assert ("x" in stand.keys(BUCKET)) is (action == "lost")


def test_reset_and_hang_give_no_answer(stand: S3Stand, pool: urllib3.PoolManager) -> None:
    stand.add(Fault("reset"), Fault("hang", seconds=1))
    with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
        pool.request("GET", signed(stand))
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", signed(stand), timeout=0.2)


def test_a_stall_falls_silent_and_goes_on(stand: S3Stand, pool: urllib3.PoolManager) -> None:
    stand.add(Fault("stall", "GET /", seconds=1, count=2))
    began = time.monotonic()
    assert pool.request("GET", signed(stand)).data == DATA
    assert time.monotonic() - began >= 1
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", signed(stand), timeout=0.3)


def test_a_trickle_keeps_talking(stand: S3Stand, pool: urllib3.PoolManager) -> None:
    stand.add(Fault("trickle", "GET /", rate=len(DATA)))
    began = time.monotonic()
    assert pool.request("GET", signed(stand), timeout=0.8).data == DATA
    assert time.monotonic() - began >= 0.9


def test_latency_throttle_and_waits_delay_only(stand: S3Stand, client: Any) -> None:
    stand.set(latency_ms=200, throttle=2 * len(DATA))
    stand.add(Fault("wait", seconds=0.2))
    began = time.monotonic()
    assert read(client) == DATA
    client.put_object(Bucket=BUCKET, Key="x", Body=DATA)
    assert time.monotonic() - began >= 2 * (0.2 + 0.5) + 0.1
    stand.clear()
    assert stand.get(BUCKET, "x") == DATA


def test_a_fault_hits_what_it_names_and_nothing_else(stand: S3Stand, client: Any) -> None:
    stand.add(Fault("refuse", r"GET /[^/]+/a/b%20c", after=1, count=2, min_start=50))
    assert read(client, Range="bytes=50-59") == DATA[50:60]
    for _ in range(2):
        assert read(client, Range="bytes=49-59") == DATA[49:60]
        with pytest.raises(ClientError, match="SlowDown"):
            read(client, Range="bytes=60-69")
    assert read(client, Range="bytes=50-59") == DATA[50:60]


@pytest.mark.parametrize("conditional", [True, False])
def test_a_condition_is_heard_or_not(stand: S3Stand, client: Any, conditional: bool) -> None:
    stand.set(conditional=conditional)
    if conditional:
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.put_object(Bucket=BUCKET, Key="a/b c", Body=b"new", IfNoneMatch="*")
    else:
        client.put_object(Bucket=BUCKET, Key="a/b c", Body=b"new", IfNoneMatch="*")
    assert (stand.get(BUCKET, "a/b c") == DATA) is conditional


def test_the_environment_has_the_endpoint_and_canaries(stand: S3Stand) -> None:
    said = stand.environment(TEN_PATIENCE="5s")
    assert said["SPACES_ENDPOINT"] == stand.endpoint
    assert {said["SPACES_ACCESS_KEY_ID"], said["SPACES_SECRET_ACCESS_KEY"]} == set(CANARIES)
    assert said["TEN_PATIENCE"] == "5s"


def test_the_servers_end_with_the_process_that_holds_them() -> None:
    program = (
        "import os, signal; from tests.standins.s3 import S3Stand\n"
        "stand = S3Stand(); print(stand.port, stand.direct.rpartition(':')[2], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    with urllib3.PoolManager(retries=False) as pool:
        for port in done.stdout.split():
            deadline = time.monotonic() + 10
            while _listens(pool, port):
                assert time.monotonic() < deadline
                time.sleep(0.05)
    assert len(done.stdout.split()) == 2


def _listens(pool: urllib3.PoolManager, port: str) -> bool:
    try:
        pool.request("GET", f"http://127.0.0.1:{port}/")
    except urllib3.exceptions.HTTPError:
        return False
    return True
