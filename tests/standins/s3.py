"""The stand-in of an object store as tests and benchmarks hold it: moto's server, and a proxy of ours before it."""

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from tests.standins.s3_faults import Fault

ROOT = Path(__file__).parents[2]
KEY_ID = "CANARY-KEY-ID-6f1d"
SECRET = "canary-secret-key-93ac57"
CANARIES = (KEY_ID, SECRET)
"""What a test looks for in all that a process leaves behind."""
_PATIENCE_S = 60.0
_FOREIGN = ("AWS_", "SPACES_", "S3_", "TEN_S3_")


@dataclass(frozen=True)
class S3Request:
    """One request as the proxy saw it."""

    method: str
    path: str
    """As it came, without its query."""
    query: str
    range: str
    """The Range header; empty without one."""
    status: int
    """0 when no answer was given."""
    received: int
    """Bytes of the request's body that came in."""
    sent: int
    """Bytes of the answer's body that went out."""
    fault: str
    """The fault's action; empty when nothing went wrong."""
    agent: str
    connection: int
    """The same number, the same connection."""
    started: float
    """On the clock of `time.monotonic`, which processes share."""
    ended: float | None
    """None while it goes on."""

    @property
    def key(self) -> str:
        """The object's key; empty for what concerns a whole bucket."""
        return unquote(self.path).removeprefix("/").partition("/")[2]

    @property
    def span(self) -> tuple[int, int]:
        """First byte asked for, and the one behind the last."""
        first, _, last = self.range.removeprefix("bytes=").partition("-")
        return int(first), int(last) + 1


class S3Stand:
    """An S3 server and a faulty network before it, from construction until `close`."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as stack:
            self._store_port = stack.enter_context(_serving("tests.standins.s3_moto"))
            self._server = stack.enter_context(contextlib.ExitStack())
            self.port = self._server.enter_context(_serving("tests.standins.s3_server", str(self._store_port)))
            self._client = stack.enter_context(contextlib.closing(_client(self.direct)))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End both processes; their ports are free when this returns."""
        self._stack.close()

    def kill(self) -> None:
        """SIGKILL for the server that clients speak to: connections break, new ones are refused, objects stay."""
        self._server.close()

    def revive(self) -> None:
        """Start it anew on its port, with no faults and an empty log."""
        self._server.enter_context(_serving("tests.standins.s3_server", str(self._store_port), str(self.port)))

    @property
    def endpoint(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def direct(self) -> str:
        """The store itself, past all faults and the log."""
        return f"http://127.0.0.1:{self._store_port}"

    def environment(self, **more: str) -> dict[str, str]:
        """The variables a client process needs; it bears a fault for 30 s."""
        keys = {"SPACES_ACCESS_KEY_ID": KEY_ID, "SPACES_SECRET_ACCESS_KEY": SECRET}
        return {"SPACES_ENDPOINT": self.endpoint, **keys, "TEN_PATIENCE": "30s", **more}

    def bucket(self, name: str = "ten-test") -> str:
        """Make a bucket, or empty the one there is; its address."""
        self._client.create_bucket(Bucket=name)
        for upload in self.uploads(name):
            self._client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        for key in self.keys(name):
            self.delete(name, key)
        return f"s3://{name}"

    def new_bucket(self) -> str:
        """Make a bucket that no other test knows; its address."""
        return self.bucket(f"ten-{secrets.token_hex(6)}")

    def put(self, bucket: str, key: str, data: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Create or replace an object behind everybody's back; its metadata is kept unless named."""
        if metadata is None:
            metadata = self.head(bucket, key).get("Metadata", {}) if key in self.keys(bucket, key) else {}
        self._client.put_object(Bucket=bucket, Key=key, Body=data, Metadata=dict(metadata))

    def get(self, bucket: str, key: str) -> bytes:
        """All bytes of an object."""
        with contextlib.closing(self._client.get_object(Bucket=bucket, Key=key)["Body"]) as body:
            data: bytes = body.read()
        return data

    def head(self, bucket: str, key: str) -> dict[str, Any]:
        """What the store knows of an object."""
        answer: dict[str, Any] = self._client.head_object(Bucket=bucket, Key=key)
        return answer

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self._client.delete_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of all objects in order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", []))

    def uploads(self, bucket: str) -> list[dict[str, Any]]:
        """Multipart uploads that were begun and not ended."""
        found: list[dict[str, Any]] = self._client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return found

    def set(
        self,
        *,
        latency_ms: float | None = None,
        throttle: int | None = None,
        checks_md5: bool | None = None,
        conditional: bool | None = None,
        ahead_s: float | None = None,
    ) -> None:
        """Change what is named: the wait before every answer, bytes per second of a connection (0: no limit), whether
        Content-MD5 is checked, whether If-None-Match is heard of on its way (both are at first), and by how much the
        store's clock is ahead."""
        named = {"latency_ms": latency_ms, "throttle": throttle, "checks_md5": checks_md5, "conditional": conditional}
        named["ahead_s"] = ahead_s
        self._control("settings", {name: value for name, value in named.items() if value is not None})

    def add(self, *faults: Fault) -> None:
        """Let things go wrong, behind the faults already in force."""
        self._control("faults", {"rules": [asdict(fault) for fault in faults]})

    def clear(self) -> None:
        """No faults, no latency, no limits, an empty log. Objects stay."""
        self._control("clear", {})

    def forget(self) -> None:
        """Empty the log."""
        self._control("forget", {})

    def log(self, method: str = "") -> list[S3Request]:
        """Requests since the last `clear` or `forget` as they arrived; of one method when it is named."""
        entries = [S3Request(**entry) for entry in self._control("log", {})]
        return [entry for entry in entries if method in ("", entry.method)]

    def _control(self, name: str, asked: dict[str, Any]) -> Any:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)) as connection:
            connection.request("POST", f"/_control/{name}", json.dumps(asked))
            return json.loads(connection.getresponse().read())


def without_stores(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment less all that concerns a real object store or a way there."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_FOREIGN) and not name.lower().endswith("_proxy")
    }


@contextlib.contextmanager
def _serving(module: str, *words: str) -> Any:
    """A module as a process that prints its port and lives as long as its input is open."""
    command = [sys.executable, "-m", module, *words]
    environment = without_stores(os.environ)
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _client(endpoint: str) -> Any:
    """A plain client that keeps nothing back."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="direct",
        aws_secret_access_key="direct",
        config=Config(s3={"addressing_style": "path"}),
    )
