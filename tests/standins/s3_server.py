"""A proxy in front of an object store: `python -m tests.standins.s3_server PORT [OWN]` prints its own port.

It forwards requests as they are to the store on PORT, unless a fault hits them. /_control/ steers it and is never
logged, slowed down or hit by a fault (`tests.standins.s3.S3Stand` speaks it). The process ends when its standard input
does.
"""

import base64
import hashlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tests.standins.hub_bodies import BodySender, first_byte
from tests.standins.hub_faults import FaultRules
from tests.standins.s3_bodies import BrokenOff, blocks_of
from tests.standins.s3_faults import Fault
from tests.standins.s3_refusals import REFUSALS, Refused, refusal_body, refusal_headers

_SETTLE_S = 0.5
_OWN = {"connection", "keep-alive", "expect", "transfer-encoding"}
"""Headers that concern one connection and not what goes through it."""
_SETTINGS = {"latency_ms": 0.0, "throttle": 0, "checks_md5": True, "conditional": True, "ahead_s": 0.0}
_TIMES = ("date", "last-modified")


class Stage:
    """What all connections share: faults, the state of the network, the log."""

    def __init__(self) -> None:
        self.faults: FaultRules[Fault] = FaultRules()
        self.log: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = dict(_SETTINGS)
        self._commands = {
            "settings": lambda asked: self.settings.update(asked),
            "faults": lambda asked: self.faults.add(Fault(**rule) for rule in asked["rules"]),
            "clear": self._clear,
            "forget": lambda _: self.log.clear(),
            "log": self._settled_log,
        }

    def command(self, name: str, asked: dict[str, Any]) -> Any:
        """Do what a control request says."""
        return self._commands[name](asked)

    def _clear(self, _: Mapping[str, Any]) -> None:
        self.faults.clear()
        self.log.clear()
        self.settings.update(_SETTINGS)

    def _settled_log(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The log; a client may have its last byte a moment before the request counts as ended here."""
        deadline = time.monotonic() + _SETTLE_S
        while any(entry["ended"] is None for entry in self.log) and time.monotonic() < deadline:
            time.sleep(0.002)
        return list(self.log)


class Listener(ThreadingHTTPServer):
    """The proxy's port."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, store_port: int, port: int = 0) -> None:
        self.store_port, self.stage = store_port, Stage()
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True
    server: Listener

    def handle_one_request(self) -> None:
        """One request; that a client is gone is no error here."""
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        """Nothing yet: the body is asked for when it is wanted."""
        return True

    def do_GET(self) -> None:
        """Any request."""
        if self.path.startswith("/_control/"):
            self._obey(self.path.removeprefix("/_control/"))
        else:
            self._serve_and_log()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 (the names are the base class's)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""

    def _obey(self, name: str) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(self.server.stage.command(name, asked)).encode()
        self._begin(200, {"Content-Length": str(len(answer))})
        self.wfile.write(answer)

    def _serve_and_log(self) -> None:
        stage, url, asked = self.server.stage, urlsplit(self.path), self.headers.get("Range") or ""
        fault = stage.faults.pick("", f"{self.command} {self.path}", first_byte(asked))
        self._entry: dict[str, Any] = {
            "method": self.command, "path": url.path, "query": url.query, "range": asked, "status": 0,
            "fault": fault.action if fault else "", "agent": self.headers.get("User-Agent") or "",
            "connection": self.client_address[1], "started": time.monotonic(), "received": 0, "sent": 0, "ended": None,
        }  # fmt: skip
        stage.log.append(self._entry)
        try:
            time.sleep(stage.settings["latency_ms"] / 1000)
            self._serve(fault)
        except BrokenOff as broken:
            self._break_off(str(broken))
        finally:
            self._entry["ended"] = time.monotonic()

    def _serve(self, fault: Fault | None) -> None:
        action = fault.action if fault else ""
        if fault and action in ("wait", "hang"):
            time.sleep(fault.seconds)
        if action in ("hang", "reset"):
            raise BrokenOff("fin" if action == "hang" else "drop")
        if fault and action == "refuse" and "Expect" in self.headers:  # the client keeps its body to itself
            self._refuse(fault.code, fault)
            return
        body = self._received(fault)
        if fault and action == "refuse":
            self._refuse(fault.code, fault)
        elif "Transfer-Encoding" in self.headers:
            self._refuse("MissingContentLength", None)
        elif self._is_damaged(body):
            self._refuse("BadDigest", None)
        else:
            self._forward(body, fault)

    def _received(self, fault: Fault | None) -> bytes:
        """The request's body."""
        length = int(self.headers.get("Content-Length") or 0)
        if length and "Expect" in self.headers:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return b"".join(self._counted("received", self.rfile.read, length, fault if length else None))

    def _counted(self, name: str, read: Any, length: int, fault: Fault | None) -> Iterator[bytes]:
        for block in blocks_of(read, length, self.server.stage.settings["throttle"], fault):
            self._entry[name] += len(block)
            yield block

    def _is_damaged(self, body: bytes) -> bool:
        """Whether a body is not what its Content-MD5 says, as real stores find out and moto does not."""
        said = self.headers.get("Content-MD5")
        checks: bool = self.server.stage.settings["checks_md5"]
        return checks and said is not None and base64.b64encode(hashlib.md5(body).digest()).decode() != said

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.store_port)) as store:
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _OWN and self._is_known(name):
                    store.putheader(name, value)
            store.endheaders(body or None)
            answer = store.getresponse()
            if fault and fault.action == "lost":
                raise BrokenOff("drop")
            self._pass_on(answer, None if body else fault)

    def _is_known(self, header: str) -> bool:
        conditional: bool = self.server.stage.settings["conditional"]
        return conditional or header.lower() != "if-none-match"

    def _pass_on(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN | {"content-length"}}
        headers |= {name: self._shifted(value) for name, value in headers.items() if name.lower() in _TIMES}
        self._entry["status"] = answer.status
        if self.command == "HEAD" or answer.status in (204, 304):
            self._begin(answer.status, headers | {"Content-Length": answer.getheader("Content-Length") or "0"})
            return
        length = answer.length or 0
        if fault and fault.action == "short":
            length = fault.position(length)
        self._begin(answer.status, headers | {"Content-Length": str(length)})
        for block in self._counted("sent", answer.read, length, fault):
            self.wfile.write(block)

    def _shifted(self, date: str) -> str:
        """A time as a clock shows it that is ahead."""
        ahead: float = self.server.stage.settings["ahead_s"]
        return formatdate(parsedate_to_datetime(date).timestamp() + ahead, usegmt=True)

    def _refuse(self, code: str, fault: Fault | None) -> None:
        skew = fault.seconds if fault and code == "RequestTimeTooSkewed" else 0.0
        refused = Refused(self.path, self.headers.get("Authorization") or "", skew)
        body = b"" if self.command == "HEAD" else refusal_body(code, refused)
        headers = refusal_headers(code, refused) | (fault.headers if fault else {})
        status = (fault.status if fault else 0) or REFUSALS[code].status
        self._entry |= {"status": status, "sent": len(body)}
        self._begin(status, headers | {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer, nothing added."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _break_off(self, how: str) -> None:
        self.close_connection = True
        if how == "drop":
            BodySender(self.connection).reset()


def main() -> None:
    """Stand in front of the store on the port named on the command line until standard input ends."""
    listener = Listener(*map(int, sys.argv[1:]))
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    sys.stdout.write(f"{listener.server_port}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
