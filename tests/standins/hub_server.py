"""The stand-in of the hub as a process: `python -m tests.standins.hub_server ROOT` prints one JSON line with its ports.

The hub listens on one port and its file host on another, because a client that is sent to another origin must leave its
token behind. /_control/ steers it and is never logged, slowed down or hit by a fault (`tests.standins.hub.Hub` speaks
it). The process ends when its standard input does.
"""

import base64
import json
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.standins.hub_api import Answer, HubApi, Request
from tests.standins.hub_bodies import BodySender, Span, first_byte, span_of
from tests.standins.hub_faults import Fault, FaultRules
from tests.standins.hub_repos import Repositories
from tests.standins.hub_signatures import Signatures

_SETTLE_S = 0.5
_PORTAL = b"<!doctype html><html><body>Please accept the terms of this network.</body></html>"


class Stage:
    """All that both ports share: repositories, faults, the state of the network, the log."""

    def __init__(self, root: Path) -> None:
        self.repositories = Repositories(root)
        self.signatures = Signatures()
        self.api = HubApi(self.repositories, self.signatures)
        self.faults: FaultRules[Fault] = FaultRules()
        self.log: list[dict[str, Any]] = []
        self.latency_ms, self.throttle = 0.0, 0
        self._commands = {
            "settings": self._set,
            "faults": lambda asked: self.faults.add(Fault(**rule) for rule in asked["rules"]),
            "clear": self._clear,
            "forget": lambda _: self.log.clear(),
            "expire": lambda _: self.signatures.expire(),
            "commit": self._commit,
            "log": self._settled_log,
        }

    def command(self, name: str, asked: dict[str, Any]) -> Any:
        """Do what a control request says."""
        return self._commands[name](asked)

    def _set(self, settings: Mapping[str, Any]) -> None:
        self.latency_ms = settings.get("latency_ms", self.latency_ms)
        self.throttle = settings.get("throttle", self.throttle)
        self.signatures.life_s = settings.get("url_life_s", self.signatures.life_s)
        self.api.page = settings.get("page", self.api.page)

    def _clear(self, _: Mapping[str, Any]) -> None:
        self.faults.clear()
        self.log.clear()
        self._set({"latency_ms": 0.0, "throttle": 0, "url_life_s": 3600.0, "page": 1000})

    def _commit(self, asked: Mapping[str, Any]) -> str:
        files = {name: None if data is None else base64.b64decode(data) for name, data in asked["files"].items()}
        return self.repositories.commit(asked["kind"], asked["repo"], files, asked["branch"])

    def _settled_log(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The log; a client may have its last byte a moment before the request counts as ended here."""
        deadline = time.monotonic() + _SETTLE_S
        while any(entry["ended"] is None for entry in self.log) and time.monotonic() < deadline:
            time.sleep(0.002)
        return list(self.log)


class Listener(ThreadingHTTPServer):
    """One port."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: str, stage: Stage) -> None:
        self.port, self.stage = port, stage
        super().__init__(("127.0.0.1", 0), Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    @property
    def origin(self) -> str:
        """http://127.0.0.1:PORT."""
        return f"http://127.0.0.1:{self.server_port}"


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

    def do_GET(self) -> None:
        """Any request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_control/"):
            self._obey(self.path.removeprefix("/_control/"), json.loads(body))
        else:
            self._serve_and_log(body)

    do_HEAD = do_POST = do_GET  # noqa: N815 (the names are the base class's)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""

    def _obey(self, name: str, asked: dict[str, Any]) -> None:
        answer = json.dumps(self.server.stage.command(name, asked)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _serve_and_log(self, body: bytes) -> None:
        stage = self.server.stage
        asked = self.headers.get("Range") or ""
        fault = stage.faults.pick(self.server.port, f"{self.command} {self.path}", first_byte(asked))
        self._bodies = BodySender(self.connection)
        self._entry: dict[str, Any] = {
            "method": self.command, "path": self.path, "port": self.server.port, "range": asked, "status": 0,
            "had_authorization": "Authorization" in self.headers, "fault": fault.action if fault else "",
            "agent": self.headers.get("User-Agent") or "", "connection": self.client_address[1],
            "started": time.monotonic(), "sent": 0, "ended": None,
        }  # fmt: skip
        stage.log.append(self._entry)
        try:
            time.sleep(stage.latency_ms / 1000)
            if fault is None or not self._answer_by_fault(fault):
                self._send(self._answer(body), asked, fault)
        finally:
            self._entry |= {"sent": self._bodies.sent, "ended": time.monotonic()}

    def _answer(self, body: bytes) -> Answer:
        url = urlsplit(self.path)
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        request = Request(
            method=self.command,
            path=url.path,
            query=parse_qs(url.query, keep_blank_values=True),
            host=self.headers.get("Host") or "",
            token=token if scheme == "Bearer" else None,
            body=body,
            json="json" in (self.headers.get("Content-Type") or ""),
        )
        api = self.server.stage.api
        return api.answer(request) if self.server.port == "hub" else api.answer_file_host(request)

    def _answer_by_fault(self, fault: Fault) -> bool:
        """Whether a fault took the place of the answer."""
        if fault.action == "hang":
            time.sleep(fault.seconds)
            self.close_connection = True
        elif fault.action == "reset":
            self._bodies.reset()
            self.close_connection = True
        elif fault.action == "status":
            self._send(Answer(fault.status, b"fault", fault.headers, type="text/plain"))
        elif fault.action == "html":
            self._send(Answer(200, _PORTAL, type="text/html; charset=utf-8"))
        elif fault.action == "redirect":
            self._send(Answer(302, b"Found", {"Location": f"{fault.to}{self.path}"}, type="text/plain"))
        elif fault.action == "expired":
            self.server.stage.signatures.expire(parse_qs(urlsplit(self.path).query).get("X-Signed", [""])[0])
            return False
        else:
            return False
        return True

    def _send(self, answer: Answer, asked: str = "", fault: Fault | None = None) -> None:
        """Answer; faults in mid-body act on every body, those of ranges and sizes only on files."""
        body = answer.blob.path if answer.blob else answer.body
        size = answer.blob.size if answer.blob else len(answer.body)
        span = span_of(asked, size, fault) if answer.blob else Span(0, size, size, False)
        status, length = answer.status, {"Content-Length": "0", "Content-Range": f"bytes */{size}"}
        if span:
            length = span.headers()
        if answer.blob:
            status = 416 if span is None else 206 if span.partial else 200
        self._entry["status"] = status
        self.send_response(status)
        for name, value in {"Content-Type": answer.type, **answer.headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or span is None:
            return
        if not self._bodies.send(body, span, self.server.stage.throttle, fault):
            self.close_connection = True


def main() -> None:
    """Serve the folder named on the command line until standard input ends."""
    stage = Stage(Path(sys.argv[1]).absolute())
    hub, cdn = Listener("hub", stage), Listener("cdn", stage)
    stage.api.cdn = cdn.origin
    for listener in (hub, cdn):
        threading.Thread(target=listener.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({"hub": hub.server_port, "cdn": cdn.server_port}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
