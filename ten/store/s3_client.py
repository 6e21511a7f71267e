"""S3 client: boto3, so set up that nothing but our settings decides what it does, and that it never waits by itself."""

import os
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.handlers import add_expect_header

from ten import __version__
from ten.calls.patience import Patience
from ten.store.s3_settings import S3Settings

CONNECTIONS = 32
"""How many are kept."""
_UNSET = (None, None, None, None)


def make_client(settings: S3Settings, patience: Patience) -> Any:
    """A client for any number of threads. It makes one try a request: `ten.calls` waits and tries again."""
    alone: Any = {"profile": _UNSET, "config_file": (None, None, os.devnull, None)}
    session = boto3.session.Session(botocore_session=botocore.session.Session(session_vars=alone))
    client = session.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        aws_access_key_id=settings.keys.id,
        aws_secret_access_key=settings.keys.secret,
        aws_session_token=settings.keys.token,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": settings.addressing},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=patience.connect_s,
            read_timeout=patience.silence_s,
            max_pool_connections=CONNECTIONS,
            tcp_keepalive=True,
            user_agent_extra=f"ten/{__version__}",
        ),
    )
    # a body that waits for permission costs a round trip each
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client
