"""The yardstick of store.py: shards by plain `get_object` on some threads, or by obstore, into memory and away."""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from benchmarks.support.store_tokens import say

REGION = "us-east-1"


def open_boto3(bucket: str, threads: int) -> Callable[[str], int]:
    """Reads an object with boto3; how long it was."""
    import boto3
    from botocore.config import Config

    config = Config(
        max_pool_connections=threads,
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client: Any = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=REGION, config=config)

    def get(key: str) -> int:
        with closing(client.get_object(Bucket=bucket, Key=key)["Body"]) as body:
            return len(body.read())

    return get


def open_obstore(bucket: str, threads: int) -> Callable[[str], int]:
    """Reads an object with obstore, whose own threads fetch it; how long it was."""
    from obstore.store import S3Store  # type: ignore[import-not-found]

    store: Any = S3Store(
        bucket,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        region=REGION,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    return lambda key: len(store.get(key).bytes())


OPENERS = {"boto3": open_boto3, "obstore": open_obstore}


def read(client: str, bucket: str, prefix: str, shards: int, threads: int) -> None:
    """All shards but the first, which opens a connection."""
    get = OPENERS[client](bucket, threads)
    first, *others = (f"{prefix}/{shard:05d}.safetensors" for shard in range(shards))
    get(first)
    with ThreadPoolExecutor(threads) as pool:
        began = time.monotonic()
        sum(pool.map(get, others))
        say("last", began)


if __name__ == "__main__":
    read(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
