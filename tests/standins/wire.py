"""Requests to the stand-in of the hub that follow nothing and repeat nothing."""

import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.standins.hub import Hub

SHARD = "/datasets/HuggingFaceFW/fineweb-edu/resolve/main/sample/10BT/000_00000.parquet"
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Received:
    """An answer as it came over the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


def get(origin: str, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Received:
    """One whole answer. Raises what http.client does when there is none."""
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=_PATIENCE_S)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Received(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def signed_path(hub: Hub, path: str = SHARD) -> str:
    """Where the file host has a file, freshly signed."""
    return get(hub.endpoint, path).headers["Location"].removeprefix(hub.cdn)


@dataclass(frozen=True)
class Heard:
    """What a connection gave until it ended or fell silent."""

    head: bytes
    body: bytes
    end: str
    """`closed`, `reset` or `silent`."""
    seconds: float


def listen(hub: Hub, path: str, *, patience_s: float = _PATIENCE_S, start: int = 0, stop: int = 0) -> Heard:
    """Ask the file host for bytes and take whatever comes."""
    began, heard = time.monotonic(), bytearray()
    asked = f"Range: bytes={start}-{stop - 1}\r\n" if stop else ""
    with socket.create_connection(("127.0.0.1", hub.cdn_port), timeout=patience_s) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: host\r\nConnection: close\r\n{asked}\r\n".encode())
        end = ""
        while not end:
            try:
                block = connection.recv(65536)
                heard += block
                end = "" if block else "closed"
            except ConnectionResetError:
                end = "reset"
            except TimeoutError:
                end = "silent"
    head, _, body = bytes(heard).partition(b"\r\n\r\n")
    return Heard(head, body, end, time.monotonic() - began)
