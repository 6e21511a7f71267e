"""Plain clients of the stand-in of an object store, that repeat nothing, and the object they all ask for."""

from contextlib import closing
from typing import Any

import boto3
from botocore.config import Config

from tests.standins.s3 import KEY_ID, SECRET, S3Stand

BUCKET, KEY = "ten-stand", "a/b c"
DATA = bytes(range(256)) * 4000


def client_of(stand: S3Stand) -> Any:
    """Amazon's client."""
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
        url: str = client.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": KEY})
    return url


def read(client: Any, **asked: Any) -> bytes:
    """The object's bytes."""
    with closing(client.get_object(Bucket=BUCKET, Key=KEY, **asked)["Body"]) as body:
        data: bytes = body.read()
    return data
