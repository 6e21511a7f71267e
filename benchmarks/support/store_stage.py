"""The stage of store.py: an object store with the same tokens in it for every contender, and processes before it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import msgspec

from benchmarks.support.store_pack import publish_pack
from tests.standins.s3 import KEY_ID, SECRET, S3Request, S3Stand, without_stores

PEERS = ("litdata", "mosaicml")
REGION = "us-east-1"
_BUCKET = "benchmark"
_PATIENCE_S = 900.0
_IMPORTS = "import litdata, obstore; from benchmarks.support.store_mosaicml import prepare; prepare(); import streaming"


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What a contender said of itself, and when it was started."""

    what: str
    at: float
    began: float
    started: float = 0.0


class Stage:
    """`shards` of `count` tokens each; the peers' programs run in the interpreter `peers`."""

    def __init__(self, stand: S3Stand, root: Path, peers: str, shards: int, count: int) -> None:
        self.shards, self._count = shards, count
        self._stand, self._root, self._peers = stand, root, peers
        self._prefix = ""
        self.bytes = 0
        """Of all shards but the first, which warms everybody up."""

    def prepare(self) -> None:
        """Put the tokens into the store, in the form of each contender."""
        self._stand.bucket(_BUCKET)
        os.environ.update(self._environment(self._stand.direct, self._root / "home"))
        manifest, self._prefix = publish_pack(self._store, self._root / "pack", self.shards, self._count)
        self.bytes = manifest.bytes - manifest.shards[0].bytes
        client: Any = boto3.client("s3", endpoint_url=self._stand.direct, region_name=REGION)
        for peer in PEERS:
            folder = self._root / peer
            self._run([self._peers, "-m", _module(peer), "write", str(folder), str(self.shards), str(self._count)])
            for path in folder.rglob("*"):
                if path.is_file():
                    client.upload_file(str(path), _BUCKET, f"{peer}/{path.relative_to(folder)}")
        client.close()

    def network(self, latency_ms: float, throttle: int) -> None:
        """What lies between the store and everybody who does not go straight to it."""
        self._stand.set(latency_ms=latency_ms, throttle=throttle)

    def read(self, contender: str, what: str, *, direct: bool) -> list[Reached]:
        """One fresh process with an empty cache; what it reached, in order."""
        self._stand.forget()
        name, _, setting = contender.partition(" ")
        with tempfile.TemporaryDirectory(dir=self._root) as cache:
            interpreter, words = self._command(name, setting, what, cache)
            environment = self._environment(self._stand.direct if direct else self._stand.endpoint, Path(cache))
            started = time.monotonic()
            said = self._run([interpreter, "-m", *words], environment)
        lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"what"')]
        return [Reached(started=started, **line) for line in lines]

    def log(self) -> list[S3Request]:
        """The last process's requests, where it did not go straight to the store."""
        return sorted(self._stand.log(), key=lambda entry: entry.started)

    @property
    def _store(self) -> str:
        return f"s3://{_BUCKET}/ten"

    def _command(self, name: str, setting: str, what: str, cache: str) -> tuple[str, list[str]]:
        if name in PEERS:
            return self._peers, [_module(name), what, f"s3://{_BUCKET}/{name}", f"{cache}/{name}", setting]
        if name in ("boto3", "obstore"):
            interpreter = sys.executable if name == "boto3" else self._peers
            return interpreter, [_module("raw"), name, _BUCKET, self._prefix, str(self.shards), setting]
        return sys.executable, [_module(name), setting or what, self._store]

    def _environment(self, endpoint: str, home: Path) -> dict[str, str]:
        """The variables of a contender's process: of our store, of boto3, and of those who do not hear of these."""
        named = {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint,
            "S3_ENDPOINT_URL": endpoint,
            "SPACES_ENDPOINT": endpoint,
            "HOME": str(home),
            "TEN_CACHE_DIR": str(home / "cache"),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        return without_stores(os.environ) | self._stand.environment() | named

    def _run(self, words: Sequence[str], environment: dict[str, str] | None = None) -> str:
        process = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=_PATIENCE_S)
        if process.returncode:
            sys.exit(f"{' '.join(words)} failed with exit code {process.returncode}:\n{process.stderr[-4000:]}")
        return process.stdout


def has_peers(interpreter: str) -> bool:
    """Whether the peers can be imported there."""
    return subprocess.run([interpreter, "-c", _IMPORTS], capture_output=True).returncode == 0


def round_trips(requests: Sequence[S3Request]) -> int:
    """How many of the requests had to wait for another, up to and with the first for a shard; they come in order."""
    rounds, end = 0, float("-inf")
    for request in requests:
        if request.started >= end:
            rounds += 1
        end = max(end, request.ended or end)
        if any(mark in request.key for mark in ("/shards/", "/chunk-", "/shard.")):
            break
    return rounds


def _module(name: str) -> str:
    return f"benchmarks.support.store_{name}"
