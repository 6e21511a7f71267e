"""The stand-in of an object store is a store to a client of Amazon's."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.standins.s3 import CANARIES, ROOT, S3Stand
from tests.standins.s3_clients import BUCKET, DATA, read
from tests.standins.s3_faults import Fault


def test_a_client_writes_reads_lists_and_deletes(shelf: S3Stand, client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="x", Body=b"123", Metadata={"sha256": "0a"})
    assert client.head_object(Bucket=BUCKET, Key="x")["Metadata"] == {"sha256": "0a"}
    assert [found["Key"] for found in client.list_objects(Bucket=BUCKET)["Contents"]] == ["a/b c", "x"]
    assert read(client) == DATA
    assert read(client, Range="bytes=5-9") == DATA[5:10]
    client.delete_object(Bucket=BUCKET, Key="x")
    assert shelf.keys(BUCKET) == ["a/b c"]
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=BUCKET, Key="x")


def test_a_multipart_upload_is_one_object(shelf: S3Stand, client: Any) -> None:
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="big")["UploadId"]
    assert [found["Key"] for found in shelf.uploads(BUCKET)] == ["big"]
    parts = [os.urandom(5 * 2**20), b"the rest"]
    tags = [
        client.upload_part(Bucket=BUCKET, Key="big", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    named = [{"ETag": tag, "PartNumber": number} for number, tag in enumerate(tags, 1)]
    client.complete_multipart_upload(Bucket=BUCKET, Key="big", UploadId=upload, MultipartUpload={"Parts": named})
    assert shelf.get(BUCKET, "big") == b"".join(parts)
    assert shelf.uploads(BUCKET) == []


def test_a_bucket_asked_for_again_is_empty(shelf: S3Stand, client: Any) -> None:
    client.create_multipart_upload(Bucket=BUCKET, Key="never ended")
    shelf.bucket(BUCKET)
    assert shelf.keys(BUCKET) == []
    assert shelf.uploads(BUCKET) == []


def test_an_object_damaged_from_behind_keeps_its_metadata(shelf: S3Stand) -> None:
    shelf.put(BUCKET, "a/b c", b"damaged")
    assert shelf.get(BUCKET, "a/b c") == b"damaged"
    assert shelf.head(BUCKET, "a/b c")["Metadata"] == {"note": "kept"}


def test_the_log_has_each_request_with_its_bytes_and_connection(shelf: S3Stand, client: Any) -> None:
    assert read(client, Range="bytes=100-299") == DATA[100:300]
    client.put_object(Bucket=BUCKET, Key="x", Body=b"12345")
    got, put = shelf.log()
    assert (got.method, got.key, got.span, got.status, got.sent) == ("GET", "a/b c", (100, 300), 206, 200)
    assert (put.method, put.key, put.range, put.status, put.received) == ("PUT", "x", "", 200, 5)
    assert got.connection == put.connection
    assert shelf.log("PUT") == [put]
    shelf.forget()
    assert shelf.log() == []


def test_latency_throttle_and_waits_delay_only(shelf: S3Stand, client: Any) -> None:
    shelf.set(latency_ms=200, throttle=2 * len(DATA))
    shelf.add(Fault("wait", seconds=0.2))
    began = time.monotonic()
    assert read(client) == DATA
    client.put_object(Bucket=BUCKET, Key="x", Body=DATA)
    assert time.monotonic() - began >= 2 * (0.2 + 0.5) + 0.1
    shelf.clear()
    assert shelf.get(BUCKET, "x") == DATA


@pytest.mark.parametrize("conditional", [True, False])
def test_a_condition_is_heard_or_not(shelf: S3Stand, client: Any, conditional: bool) -> None:
    shelf.set(conditional=conditional)
    if conditional:
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.put_object(Bucket=BUCKET, Key="a/b c", Body=b"new", IfNoneMatch="*")
    else:
        client.put_object(Bucket=BUCKET, Key="a/b c", Body=b"new", IfNoneMatch="*")
    assert (shelf.get(BUCKET, "a/b c") == DATA) is conditional


def test_the_environment_has_the_endpoint_and_canaries(shelf: S3Stand) -> None:
    said = shelf.environment(TEN_PATIENCE="5s")
    assert said["SPACES_ENDPOINT"] == shelf.endpoint
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
